//! Root-mean-square norm.

mod backward;

pub use backward::RmsNormBack;

use crate::backward::Backward;
use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host, root_mean_square};
use crate::op::{Context, Op, Operand, Use, reducing_variants, row_workgroup, smoke_width, spread};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

#[cfg(feature = "cases")]
pub mod cases;

/// `y = x / sqrt(mean(x^2) + eps) * weight`, over each run of `width` values of a row: the whole row, or its heads.
///
/// Operands: `x: [tokens, n * width]`, `weight: [1, width]`, out `y: [tokens, n * width]`. The weight
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

    /// `RMS(x) * weight` over each run of `width` values of a row of `x: [tokens, n * width]`; `weight` names a table `[1, width]`.
    pub fn rms_norm_runs(&mut self, x: Value, weight: &str, width: u32, eps: f32) -> Value {
        let weight = self.vector(weight, width);
        self.one(RmsNorm { eps }, &[x, weight])
    }
}

/// Workgroup size: a row of a few thousand values, or a head of at most 512.
fn workgroup(width: u32, caps: &Caps) -> u32 {
    if width <= 512 { 64 } else { row_workgroup(width, caps) }
}

/// Whether rows of `x` are whole runs of `width` values.
fn are_runs(x: &Type, width: u32) -> bool {
    x.number == Number::F32 && width > 0 && width.is_multiple_of(4) && x.cols.is_multiple_of(width)
}

impl Op for RmsNorm {
    fn name(&self) -> &'static str {
        "rms_norm"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, weight] = take(inputs)?;
        fit(weight.rows == 1 && weight.number == Number::F32 && are_runs(&x, weight.cols), &[("x", &x), ("weight", &weight)])?;
        Ok(vec![x])
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        reducing_variants(caps)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let variant = context.variant(self, operands)?;
        let [x, weight, y] = [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?];
        let kernel = Link::new("rms_norm", rullama_quant::wgsl!("rms_norm.wgsl"), context.caps)
            .flag("subgroups", variant == "subgroups")
            .constant("WG", workgroup(weight.cols, context.caps))
            .kernel()?;
        let parts = x.cols / weight.cols;
        let dispatch = context.recorder.dispatch(&kernel, spread(x.rows * parts, context.caps.max_groups));
        dispatch.param("runs", x.rows * parts).param("parts", parts).param("width", weight.cols / 4);
        dispatch.param("stride", x.stride / 4).param("offset", x.offset / 4);
        dispatch.param("eps", self.eps).bind("x", &x.slice).bind("weight", &weight.slice).bind("y", &y.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, weight, y] = operands else { panic!("rms_norm takes 3 operands") };
        let (x, weight, y) = (x.tensor(), weight.tensor(), y.tensor_mut());
        let runs = x.data.chunks_exact(weight.cols).zip(y.data.chunks_exact_mut(weight.cols));
        for (run, out) in runs {
            let scale = 1.0 / root_mean_square(run, self.eps);
            for (i, out) in out.iter_mut().enumerate() {
                *out = (f64::from(run[i]) * scale * f64::from(weight.data[i])) as f32;
            }
        }
    }

    fn backward(&self, back: &mut Backward) -> Result<(), String> {
        let (x, weight, Some(g)) = (back.operand(0), back.operand(1), back.gradient(2)) else { return Ok(()) };
        if back.wants(1) {
            return Err("the weight of a norm is not trained".into());
        }
        let width = back.graph.cols(weight);
        back.add_to(0, |graph, sum| graph.rms_norm_back(x, Some(weight), g, sum, width, self.eps));
        Ok(())
    }

    fn kernels(&self, inputs: &[Type], caps: &Caps) -> String {
        workgroup(inputs[1].cols, caps).to_string()
    }

    fn smoke(&self, inputs: &[Type]) -> Case {
        let mut rng = Rng::new(1);
        let dim = small(inputs[1].cols);
        let operands = vec![rng.tensor(3, dim).into(), rng.tensor(1, dim).into(), Array::zeros(3, dim).into()];
        Case::new(format!("3x{dim}"), self.clone(), operands, dim)
    }
}

/// A small width with the workgroup of `width`.
fn small(width: u32) -> usize {
    if width <= 512 { 256 } else { smoke_width(width) }
}
