use super::RmsNorm;
use crate::case::{Case, Rng};
use crate::host::Array;

/// One row and several, dims below, at and above the workgroup, huge and tiny values.
pub fn cases() -> Vec<Case> {
    let shapes = [(1, 32, 1.0), (1, 1536, 1.0), (3, 256, 1e4), (7, 96, 1e-3), (2, 5376, 1.0), (1, 2560, 3.0)];
    let case = |&(rows, dim, scale): &(usize, usize, f32)| {
        let mut rng = Rng::new(rows as u64 * 7919 + dim as u64);
        let operands = vec![rng.tensor_scaled(rows, dim, scale).into(), rng.tensor(1, dim).into(), Array::zeros(rows, dim).into()];
        Case::new(format!("{rows}x{dim} scale {scale}"), RmsNorm { eps: 1e-6 }, operands, dim)
    };
    shapes.iter().map(case).collect()
}
