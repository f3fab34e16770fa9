use super::BidirectionalAttention;
use crate::case::Case;

/// Heads of whole and broken cuts of a tile, one row and several tiles.
pub fn cases() -> Vec<Case> {
    let of = |heads, head_dim, rows| BidirectionalAttention { heads, head_dim }.case(rows);
    vec![of(1, 4, 1), of(2, 32, 33), of(2, 64, 54), of(2, 72, 54).strided(), of(3, 72, 97), of(1, 100, 31), of(12, 64, 9), of(2, 512, 40).strided()]
}
