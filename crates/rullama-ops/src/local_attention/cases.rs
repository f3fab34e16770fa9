use super::LocalAttention;
use crate::case::Case;

/// Fewer rows than are looked back on, as many, and more; the heads of Gemma 4 and of small models; caps that bend.
pub fn cases() -> Vec<Case> {
    let shapes = [(8, 128, 50.0, 30, 12), (4, 32, 50.0, 51, 12), (1, 4, 2.0, 1, 12), (3, 20, 5.0, 12, 12), (2, 36, 1.0, 7, 1), (16, 8, 50.0, 40, 33)];
    let case = |&(heads, head_dim, cap, rows, span)| LocalAttention { heads, head_dim, cap }.case(rows, span).strided();
    shapes.iter().map(case).collect()
}
