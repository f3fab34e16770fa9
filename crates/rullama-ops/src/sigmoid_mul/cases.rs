use super::{QuickGeluMul, SigmoidMul, Silu};
use crate::case::Case;

/// One row and several, near zero and where `exp` would overflow.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 4, 1.0), (3, 36, 8.0), (5, 1024, 100.0), (2, 4096, 1e4)];
    shapes
        .iter()
        .flat_map(|&(rows, dim, far)| [SigmoidMul.case(rows, dim, far), Silu.case(rows, dim, far), QuickGeluMul.case(rows, dim, far)])
        .map(Case::strided)
        .collect()
}
