use super::case;
use crate::case::Case;

/// More and fewer groups than a workgroup, large and small values, strides, zeros and what is no number.
pub fn cases() -> Vec<Case> {
    let mut odd = case(4, 64, 1.0);
    let x = odd.operands[0].tensor_mut();
    x.row_mut(0)[..32].fill(0.0);
    x.row_mut(1)[32..].fill(1e-35);
    x.row_mut(2)[7] = f32::INFINITY;
    x.row_mut(3)[40] = f32::NAN;
    vec![odd, case(1, 32, 1e30), case(5, 1536, 1e-20).strided(), case(3, 64 * 32, 300.0).strided(), case(130, 544, 1.0)]
}
