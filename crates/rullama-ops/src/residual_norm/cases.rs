use super::{Next, ResidualNorm};
use crate::case::{Case, Rng};
use crate::graph::Type;
use crate::host::{Array, Host};

/// With and without the next norm, as values and codes, dims around the workgroup, strided `a`.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (rows, dim) in [(1, 32), (1, 1536), (5, 256), (3, 5376), (2, 96)] {
        for next in [Next::None, Next::Values, Next::Codes] {
            let mut rng = Rng::new((rows * 31 + dim) as u64);
            let mut operands = vec![rng.tensor(rows, dim).into(), rng.tensor(1, dim).into(), rng.tensor_scaled(rows, dim, 3.0).into()];
            operands.push(Array::zeros(rows, dim).into());
            if next.follows() {
                operands.insert(3, rng.tensor(1, dim).into());
                let (rows, cols) = (rows as u32, dim as u32);
                operands.push(Host::zeros(&if next == Next::Codes { Type::codes(rows, cols) } else { Type::f32(rows, cols) }));
            }
            let op = ResidualNorm { eps: 1e-6, scale: 0.75, next };
            let case = Case::new(format!("{rows}x{dim} next {next:?}"), op, operands, dim);
            all.push(if rows > 2 { case.strided() } else { case });
        }
    }
    all
}
