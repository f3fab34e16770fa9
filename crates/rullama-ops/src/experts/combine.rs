//! What a token's experts gave, by weight.

use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use, spread};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

const WORKGROUP: u32 = 64;

/// `y[t] = sum_k w[t, k] x[t * used + k]`, in the order of k.
///
/// Operands: `x: [tokens * used, dim]`, `w: [tokens, used]`, out `y: [tokens, dim]`. Sums in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpertSum;

impl Graph {
    /// `[tokens, dim]`: the weighted sum of each token's rows of `x: [tokens * used, dim]`, by `weights: [tokens, used]`.
    pub fn expert_sum(&mut self, x: Value, weights: Value) -> Value {
        self.one(ExpertSum, &[x, weights])
    }
}

impl ExpertSum {
    pub(super) fn case(self, tokens: usize, used: usize, dim: usize) -> Case {
        let mut rng = Rng::new((tokens * used * dim) as u64);
        let operands = vec![rng.tensor(tokens * used, dim).into(), rng.tensor(tokens, used).into(), Array::zeros(tokens, dim).into()];
        Case::new(format!("{tokens}x{used}x{dim}"), self, operands, used)
    }
}

impl Op for ExpertSum {
    fn name(&self) -> &'static str {
        "expert_sum"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, weights] = take(inputs)?;
        let numbers = x.number == Number::F32 && weights.number == Number::F32 && x.cols.is_multiple_of(4);
        let rows = u64::from(weights.rows) * u64::from(weights.cols) == u64::from(x.rows) && x.rows > 0;
        fit(numbers && rows, &[("x", &x), ("weights", &weights)])?;
        Ok(vec![Type::f32(weights.rows, x.cols)])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        context.variant(self, operands)?;
        let [x, weights, y] = [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?];
        let kernel =
            Link::new("experts/combine", rullama_quant::wgsl!("combine.wgsl"), context.caps).constant("WG", WORKGROUP).kernel()?;
        let count = y.rows * y.cols / 4;
        let dispatch = context.recorder.dispatch(&kernel, spread(count.div_ceil(WORKGROUP), context.caps.max_groups));
        dispatch.param("count", count).param("dim", y.cols / 4).param("used", weights.cols);
        dispatch.param("stride", x.stride / 4).param("offset", x.offset / 4);
        dispatch.param("weights_stride", weights.stride).param("weights_offset", weights.offset);
        dispatch.bind("x", &x.slice).bind("weights", &weights.slice).bind("y", &y.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, weights, y] = operands else { panic!("expert_sum takes 3 operands") };
        let (x, weights, y) = (x.tensor(), weights.tensor(), y.tensor_mut());
        for token in 0..weights.rows {
            for column in 0..x.cols {
                let terms = weights.row(token).iter().enumerate();
                let terms = terms.map(|(k, &w)| f64::from(w) * f64::from(x.row(token * weights.cols + k)[column]));
                y.row_mut(token)[column] = terms.sum::<f64>() as f32;
            }
        }
    }

    fn work(&self, inputs: &[Type], _: u32) -> u64 {
        u64::from(inputs[0].rows) * u64::from(inputs[0].cols)
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        self.case(3, 5, 96)
    }
}
