use super::{RmsNorm, RmsNormBack};
use crate::case::{Case, Rng};
use crate::host::Array;

/// One row and several, whole rows and heads, widths below, at and above the workgroups, huge and tiny values.
pub fn cases() -> Vec<Case> {
    let shapes = [
        (1, 1, 32, 1.0),
        (1, 1, 1536, 1.0),
        (3, 1, 256, 1e4),
        (7, 1, 96, 1e-3),
        (2, 1, 5376, 1.0),
        (1, 1, 2560, 3.0),
        (5, 3, 64, 2.0),
        (3, 2, 512, 1.0),
        (2, 2, 516, 1.0),
    ];
    let mut all: Vec<Case> = shapes.iter().flat_map(forward).collect();
    all.extend(shapes.iter().flat_map(backward));
    // Rows of zeros: the gradient is that of `x / sqrt(eps)`.
    all.push(RmsNormBack { eps: 1e-6, weighted: true, acc: false, width: 32 }.case(2, 2, 0.0));
    all
}

fn forward(&(rows, runs, width, scale): &(usize, usize, usize, f32)) -> [Case; 2] {
    [false, true].map(|strided| {
        let cols = runs * width;
        let mut rng = Rng::new(rows as u64 * 7919 + cols as u64);
        let operands = vec![rng.tensor_scaled(rows, cols, scale).into(), rng.tensor(1, width).into(), Array::zeros(rows, cols).into()];
        let case = Case::new(format!("{rows}x{runs}x{width} scale {scale}"), RmsNorm { eps: 1e-6 }, operands, width);
        if strided { case.strided() } else { case }
    })
}

fn backward(&(rows, runs, width, scale): &(usize, usize, usize, f32)) -> Vec<Case> {
    let flags = [(true, false), (true, true), (false, false), (false, true)];
    let op = |(weighted, acc)| RmsNormBack { eps: 1e-6, weighted, acc, width: width as u32 };
    flags.map(|flags| op(flags).case(rows, runs, scale).strided()).into()
}
