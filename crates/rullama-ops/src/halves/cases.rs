use super::{halve_case, widen_case};
use crate::case::Case;

/// More and fewer groups than a workgroup, large and small values, strides, zeros and what is no number.
pub fn cases() -> Vec<Case> {
    let mut odd = halve_case(4, 64, 1.0);
    let x = odd.operands[0].tensor_mut();
    x.row_mut(0)[..32].fill(0.0);
    x.row_mut(1)[32..].fill(1e-36);
    x.row_mut(2)[7] = f32::INFINITY;
    x.row_mut(3)[40] = f32::NAN;
    x.row_mut(3)[1] = -6e4;
    let widened = [(1, 32, 1e5), (3, 2048, 1e-12), (130, 544, 1.0)].map(|(rows, cols, scale)| widen_case(rows, cols, scale));
    let mut all = vec![odd, halve_case(1, 32, 1e30), halve_case(5, 1536, 1e-20).strided(), halve_case(130, 544, 300.0).strided()];
    all.extend(widened);
    all
}
