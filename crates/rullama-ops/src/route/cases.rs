use super::Route;
use crate::case::{Case, Rng};
use crate::host::Array;

/// One expert and all of them, more and fewer than a workgroup, ties, and logits far apart.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (rows, experts, used, spread) in [
        (1, 128, 8, 2.0),
        (5, 128, 8, 30.0),
        (3, 16, 4, 1.0),
        (2, 8, 2, 1e3),
        (4, 1, 1, 1.0),
        (2, 3, 3, 1.0),
        (3, 65, 7, 4.0),
        (2, 130, 130, 1.0),
        (1, 1024, 64, 5.0),
        (70, 32, 1, 1.0),
    ] {
        for factors in [false, true] {
            all.push(Route { used, scale: 0.7, factors }.case(rows, experts, spread).strided());
        }
    }
    all.push(Route { used: 8, scale: 1.0 / 2816f32.sqrt(), factors: true }.case(2, 128, 100.0));
    all.extend([1, 3, 6].map(ties));
    all
}

/// Few distinct logits, among them zeros of both signs and some so low that no weight is left for them.
fn ties(used: u32) -> Case {
    let mut rng = Rng::new(u64::from(used));
    let values = [0.0, -0.0, 1.5, -2.0, -1e30];
    let mut data: Vec<f32> = (0..7 * 20).map(|_| values[rng.below(5) as usize]).collect();
    data[..20].fill(0.25);
    let op = Route { used, scale: 1.0, factors: used == 3 };
    op.case_of(format!("{used} of 20 with ties"), Array { rows: 7, cols: 20, data }).strided()
}
