use super::Rotate;
use crate::case::{Case, Rng};

/// `starts` of a packed row: examples of these lengths, then padding.
pub(crate) fn packed(lengths: &[u32], padding: usize) -> Vec<u32> {
    let mut starts = Vec::new();
    for &length in lengths {
        let first = starts.len() as u32;
        starts.extend((0..length).map(|_| first));
    }
    starts.extend(vec![u32::MAX; padding]);
    starts
}

/// One example and several, padding, positions past a row of the lower table, one head and many, whole and partial rotation.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    let rows = [packed(&[1], 0), packed(&[3, 1, 5], 3), packed(&[40], 0), packed(&[700, 60], 8), vec![0, 7, 9, 3, 1]];
    for (i, starts) in rows.iter().enumerate() {
        for (heads, head_dim) in [(1, 32), (3, 96), (4, 256), (2, 512)] {
            let op = |inverse| Rotate { heads, head_dim, inverse };
            // Long rows at one size alone.
            if starts.len() < 100 || head_dim == 256 {
                all.extend([op(false).case(starts, i % 2 == 1), op(true).case(starts, i % 2 == 0)].map(Case::strided));
            }
        }
    }
    all.push(scattered());
    all
}

/// A rotation of random `starts`, as no packed row has them: tokens see only their own.
fn scattered() -> Case {
    let mut rng = Rng::new(5);
    let starts: Vec<u32> = (0..33).map(|t| rng.below(t + 2) as u32).collect();
    Rotate { heads: 2, head_dim: 64, inverse: false }.case(&starts, false)
}
