use super::{AddColumns, AddScale, Affine, Clamp, Dropout, GeluMul, LastRow, Scale, Softcap, Zeros, gelu};
use crate::case::{Case, Rng};
use crate::host::{Array, Host};
use crate::op::StepState;

pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (rows, dim) in [(1, 32), (3, 96), (5, 1536), (2, 12288)] {
        let mut rng = Rng::new((rows * dim) as u64);
        let (a, b) = (rng.tensor(rows, dim), rng.tensor(rows, dim));
        let name = format!("{rows}x{dim}");
        all.push(
            Case::new(&name, AddScale { scale: 0.3 }, vec![a.clone().into(), b.clone().into(), Array::zeros(rows, dim).into()], 2)
                .strided(),
        );
        // As far as the flat ends of tanh; gelu's go where an unguarded one overflows.
        let far = rng.tensor_scaled(rows, dim, 10.0);
        all.push(Case::new(&name, Softcap { cap: 3.0 }, vec![far.into(), Array::zeros(rows, dim).into()], 256).strided());
        let far = rng.tensor_scaled(rows, dim, 500.0);
        all.push(Case::new(&name, GeluMul, vec![far.into(), b.into(), Array::zeros(rows, dim).into()], 256).strided());
        let step = StepState { tokens: rows as u32 - u32::from(rows > 2), ..Default::default() };
        let words = bytemuck::cast_slice(&[step]).to_vec();
        all.push(Case::new(&name, Scale { by: -2.6 }, vec![a.clone().into(), Array::zeros(rows, dim).into()], 1).strided());
        for (column, width) in [(0, dim), (dim / 2, dim / 2), (4, 8), (dim - 4, 4)] {
            let operands = vec![a.clone().into(), rng.tensor(rows, width).into(), Array::zeros(rows, dim).into()];
            let name = format!("columns {column} .. {} of {name}", column + width);
            all.push(Case::new(name, AddColumns { row: 0, column: column as u32 }, operands, 1).strided());
        }
        let operands = vec![a.clone().into(), rng.tensor(rows.div_ceil(2), 8).into(), Array::zeros(rows, dim).into()];
        all.push(Case::new(&name, AddColumns { row: rows as u32 / 2, column: 4 }, operands, 1).strided());
        let operands = vec![rng.tensor(rows, 6).into(), rng.tensor(rows.div_ceil(2), 3).into(), Array::zeros(rows, 6).into()];
        all.push(Case::new(format!("3 of 6, {name}"), AddColumns { row: rows as u32 / 2, column: 2 }, operands, 1));
        all.push(Affine::case(rows, dim).strided());
        let bounds = [(-0.5, 0.25), (f32::NEG_INFINITY, 0.1), (f32::MIN, f32::MAX), (0.2, 0.2)];
        all.extend(bounds.map(|(low, high)| Clamp { low, high }.case(rows, dim).strided()));
        all.push(Zeros { rows: rows as u32, cols: dim as u32 }.case());
        all.extend([5.0, 500.0].map(|far| gelu::case(rows, dim, far).strided()));
        let rates = [(0.0, [0; 3]), (0.1, [7, 0, 1]), (0.75, [u32::MAX, 8, 900])];
        let dropped = |(rate, chance)| Dropout { rate, salt: dim as u32, first_row: dim as u32 % 5 }.case(rows, dim, chance).strided();
        all.extend(rates.map(dropped));
        all.push(Case::new(&name, LastRow, vec![a.into(), Host::Words(words), Array::zeros(1, dim).into()], 1).strided());
    }
    all
}
