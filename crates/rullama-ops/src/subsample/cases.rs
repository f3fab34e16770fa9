use super::Subsample;
use crate::case::Case;

/// Odd and even rows and bins, one row, both layers of Gemma 4's encoder, channels that leave invocations idle or several to one.
pub fn cases() -> Vec<Case> {
    let shapes = [(7, 128, 1, 128), (6, 64, 128, 32), (1, 4, 1, 4), (5, 3, 4, 12), (2, 5, 8, 300)];
    shapes.iter().map(|&(rows, bins, inner, outer)| Subsample { bins, eps: 1e-6 }.case(rows, inner, outer).strided()).collect()
}
