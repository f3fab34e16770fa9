//! Root-mean-square norm.

use crate::case::{Case, Rng};
use crate::graph::{Graph, Type, Value, fit, take};
use crate::host::{Array, Host, root_mean_square};
use crate::op::{Context, Op, Operand, Use, reducing_variants, spread};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

#[cfg(feature = "cases")]
pub mod cases;

/// `y = x / sqrt(mean(x^2) + eps) * weight`, over each row.
///
/// Operands: `x: [tokens, dim]`, `weight: [1, dim]`, out `y: [tokens, dim]`. The weight
/// multiplies as stored (Gemma 4 has no `1 + weight`). Sums in f32.
/// Source: Zhang & Sennrich 2019; HF `Gemma4RMSNorm`.
#[derive(Debug, Clone)]
pub struct RmsNorm {
    pub eps: f32,
}

impl Graph {
    /// `RMS(x) * weight` over each row of `x: [tokens, dim]`; `weight` names a table `[1, dim]`.
    pub fn rms_norm(&mut self, x: Value, weight: &str, eps: f32) -> Value {
        let weight = self.vector(weight, self.cols(x));
        self.one(RmsNorm { eps }, &[x, weight])
    }
}

/// Workgroup size: a row of a few thousand values.
const WORKGROUP: u32 = 256;

impl Op for RmsNorm {
    fn name(&self) -> &'static str {
        "rms_norm"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, weight] = take(inputs)?;
        fit(weight == Type::f32(1, x.cols) && x.cols.is_multiple_of(4), &[("x", &x), ("weight", &weight)])?;
        Ok(vec![x])
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        reducing_variants(caps)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let variant = context.variant(self, operands)?;
        let [x, weight, y] = [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?];
        let kernel = Link::new("rms_norm", include_str!("rms_norm.wgsl"), context.caps)
            .flag("subgroups", variant == "subgroups")
            .constant("WG", WORKGROUP.min(context.caps.invocations))
            .kernel()?;
        let dispatch = context.recorder.dispatch(&kernel, spread(x.rows, context.caps.max_groups));
        dispatch.param("rows", x.rows).param("dim", x.cols / 4).param("stride", x.stride / 4).param("offset", x.offset / 4);
        dispatch.param("eps", self.eps).bind("x", &x.slice).bind("weight", &weight.slice).bind("y", &y.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, weight, y] = operands else { panic!("rms_norm takes 3 operands") };
        let (x, weight, y) = (x.tensor(), weight.tensor(), y.tensor_mut());
        for row in 0..x.rows {
            let scale = 1.0 / root_mean_square(x.row(row), self.eps);
            for (i, out) in y.row_mut(row).iter_mut().enumerate() {
                *out = (f64::from(x.row(row)[i]) * scale * f64::from(weight.data[i])) as f32;
            }
        }
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        let mut rng = Rng::new(1);
        let operands = vec![rng.tensor(3, 256).into(), rng.tensor(1, 256).into(), Array::zeros(3, 256).into()];
        Case::new("3x256", self.clone(), operands, 256)
    }
}
