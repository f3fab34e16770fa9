use super::CausalConv;
use crate::case::Case;

/// Fewer rows than taps, as many, and more; a single tap.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 4, 5), (3, 36, 5), (5, 128, 5), (51, 1024, 5), (7, 20, 1), (9, 8, 4)];
    shapes.iter().map(|&(rows, dim, taps)| CausalConv.case(rows, dim, taps).strided()).collect()
}
