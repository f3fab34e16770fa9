use super::{GatherRows, JoinRows, ReplaceRows, ScatterAdd, ScatterRows};
use crate::case::{Case, Rng};
use crate::host::{Array, Host};

/// Any columns; rows that there are none of, repeated ones, more words than rows.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for cols in [1, 5, 16, 1536] {
        let index = vec![5, 0, 18, u32::MAX, 19, 1 << 31, 7, 11];
        all.push(gather(&index, 8, 19, cols));
        all.push(gather(&[5, 5, 18, 0, 5], 4, 19, cols).strided());
        all.push(scatter(&index, 8, 19, cols));
        all.push(scatter(&index, 5, 19, cols).strided());
        let repeated: Vec<u32> = (0..150u32).map(|i| i * i % 23).collect();
        all.push(add(&repeated, 150, 19, cols, None));
        all.push(add(&repeated, 131, 19, cols, Some(4)).strided());
        all.push(ReplaceRows.case(3, cols, &[u32::MAX, 2, 0, 3, 1, 1]).strided());
        all.push(add(&[7; 40], 40, 8, cols, Some(0)));
        all.push(add(&[u32::MAX, 3, 8, 7], 4, 8, cols, Some(7)));
    }
    all.push(JoinRows::case(&[5], 32).strided());
    all.push(JoinRows::case(&[48, 16, 3], 2));
    all.push(JoinRows::case(&[3, 1, 64], 1536).strided());
    all.push(add(&[262_143, 0, 262_144, 0], 4, 262_144, 16, None));
    all
}

fn gather(index: &[u32], count: usize, rows: usize, cols: usize) -> Case {
    let mut rng = Rng::new((rows + cols) as u64);
    let operands = vec![rng.tensor(rows, cols).into(), Host::Words(index.to_vec()), Array::zeros(count, cols).into()];
    Case::new(format!("{count} of {rows}x{cols}"), GatherRows { count: count as u32 }, operands, 1)
}

fn scatter(index: &[u32], count: usize, rows: usize, cols: usize) -> Case {
    let mut rng = Rng::new((rows + cols) as u64);
    let operands = vec![rng.tensor(count, cols).into(), Host::Words(index.to_vec()), Array::zeros(rows, cols).into()];
    Case::new(format!("{count} to {rows}x{cols}"), ScatterRows { rows: rows as u32 }, operands, 1)
}

fn add(ids: &[u32], tokens: usize, vocab: usize, cols: usize, skip: Option<u32>) -> Case {
    let mut rng = Rng::new((vocab + cols) as u64);
    let operands = vec![Host::Words(ids.to_vec()), rng.tensor(tokens, cols).into(), rng.tensor(vocab, cols).into()];
    Case::new(format!("{tokens} to {vocab}x{cols} without {skip:?}"), ScatterAdd { skip }, operands, tokens)
}
