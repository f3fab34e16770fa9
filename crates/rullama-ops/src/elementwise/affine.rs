//! Columns shifted and scaled: biases, and what standardises features.

use super::WORKGROUP;
use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use, spread};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

/// `y = (x + shift) * factor`, a shift and a factor for each column.
///
/// Operands: `x: [tokens, dim]`, `shift: [1, dim]`, `factor: [1, dim]`, out `y: [tokens, dim]`.
#[derive(Debug, Clone)]
pub struct Affine;

impl Graph {
    /// `(x + shift) * factor` for `x: [tokens, dim]`; the others name tables `[1, dim]`.
    pub fn affine(&mut self, x: Value, shift: &str, factor: &str) -> Value {
        let [shift, factor] = [shift, factor].map(|key| self.vector(key, self.cols(x)));
        self.one(Affine, &[x, shift, factor])
    }
}

impl Op for Affine {
    fn name(&self) -> &'static str {
        "affine"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, shift, factor] = take(inputs)?;
        let row = Type::f32(1, x.cols);
        let fits = x.number == Number::F32 && x.cols.is_multiple_of(4) && shift == row && factor == row;
        fit(fits, &[("x", &x), ("shift", &shift), ("factor", &factor)])?;
        Ok(vec![x])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let [x, shift, factor, y] = [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?, operands[3].tensor()?];
        let kernel = Link::new("affine", rullama_quant::wgsl!("affine.wgsl"), context.caps).constant("WG", WORKGROUP).kernel()?;
        let count = y.rows * y.cols / 4;
        let dispatch = context.recorder.dispatch(&kernel, spread(count.div_ceil(WORKGROUP), context.caps.max_groups));
        dispatch.param("count", count).param("dim", y.cols / 4).param("stride", x.stride / 4).param("offset", x.offset / 4);
        dispatch.param("shift_offset", shift.offset / 4).param("factor_offset", factor.offset / 4);
        dispatch.bind("x", &x.slice).bind("shift", &shift.slice).bind("factor", &factor.slice).bind("y", &y.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, shift, factor, y] = operands else { panic!("affine takes 4 operands") };
        let (x, shift, factor, y) = (x.tensor(), shift.tensor(), factor.tensor(), y.tensor_mut());
        for (i, y) in y.data.iter_mut().enumerate() {
            let column = i % x.cols;
            *y = ((f64::from(x.data[i]) + f64::from(shift.data[column])) * f64::from(factor.data[column])) as f32;
        }
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        Affine::case(3, 64)
    }
}

impl Affine {
    pub(super) fn case(rows: usize, dim: usize) -> Case {
        let mut rng = Rng::new((rows * dim) as u64 + 5);
        let operands = vec![rng.tensor(rows, dim).into(), rng.tensor(1, dim).into(), rng.tensor(1, dim).into()];
        let operands = [operands, vec![Array::zeros(rows, dim).into()]].concat();
        Case::new(format!("{rows}x{dim}"), Affine, operands, 2)
    }
}
