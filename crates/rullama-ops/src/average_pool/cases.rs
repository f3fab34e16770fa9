use super::AveragePool;
use crate::case::Case;

/// Squares of one place and of several, one square and many, narrow and wide grids.
pub fn cases() -> Vec<Case> {
    let of = |columns, side, rows, dim| AveragePool { columns, side, scale: 12.0 }.case(rows, dim);
    vec![of(1, 1, 4, 32), of(3, 3, 3, 4), of(9, 3, 6, 144), of(3, 3, 30, 64).strided(), of(48, 3, 3, 768), of(4, 2, 8, 100).strided()]
}
