use super::RotateAxes;
use crate::case::Case;

/// One axis and several, halves that are no whole quads, one head and many.
pub fn cases() -> Vec<Case> {
    let of = |heads, head_dim, axes, tokens| RotateAxes { heads, head_dim, axes }.case(tokens);
    vec![of(1, 4, 1, 1), of(1, 4, 2, 3), of(2, 64, 2, 7), of(3, 72, 2, 5).strided(), of(16, 72, 2, 3), of(2, 24, 3, 9).strided()]
}
