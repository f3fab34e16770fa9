use super::MeanPool;
use crate::case::Case;

/// One text and many, none, whole steps and parts, spans that end behind the rows.
pub fn cases() -> Vec<Case> {
    let of = |dim, spans: &[(u32, u32)], rows| MeanPool { texts: spans.len() as u32 }.case(dim, spans, rows).strided();
    vec![of(4, &[(0, 1)], 1), of(96, &[(0, 2), (2, 9), (9, 9), (9, 40)], 45), of(768, &[(0, 700), (3, 5)], 700), of(32, &[(2, 50), (60, 70)], 9)]
}
