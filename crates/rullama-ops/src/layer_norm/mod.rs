//! Layer norm.

use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use, reducing_variants, spread};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

#[cfg(feature = "cases")]
pub mod cases;

/// `y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias` over each row, with the variance over all values.
///
/// Operands: `x: [tokens, dim]`, `weight: [1, dim]`, `bias: [1, dim]`, out `y: [tokens, dim]`. Sums in f32, the variance's from the
/// differences to the mean. Source: Ba et al. 2016.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    pub eps: f32,
}

impl Graph {
    /// Rows of `x: [tokens, dim]` normed; `weight` and `bias` name tables `[1, dim]`.
    pub fn layer_norm(&mut self, x: Value, weight: &str, bias: &str, eps: f32) -> Value {
        let [weight, bias] = [weight, bias].map(|key| self.vector(key, self.cols(x)));
        self.one(LayerNorm { eps }, &[x, weight, bias])
    }
}

fn workgroup(width: u32, caps: &Caps) -> u32 {
    if width <= 512 { 64 } else { 256.min(caps.invocations) }
}

impl Op for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, weight, bias] = take(inputs)?;
        let row = Type::f32(1, x.cols);
        let fits = x.number == Number::F32 && x.cols > 0 && x.cols.is_multiple_of(4) && weight == row && bias == row;
        fit(fits, &[("x", &x), ("weight", &weight), ("bias", &bias)])?;
        Ok(vec![x])
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        reducing_variants(caps)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let variant = context.variant(self, operands)?;
        let [x, weight, bias, y] = [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?, operands[3].tensor()?];
        let kernel = Link::new("layer_norm", rullama_quant::wgsl!("layer_norm.wgsl"), context.caps)
            .flag("subgroups", variant == "subgroups")
            .constant("WG", workgroup(x.cols, context.caps))
            .kernel()?;
        let dispatch = context.recorder.dispatch(&kernel, spread(x.rows, context.caps.max_groups));
        dispatch.param("rows", x.rows).param("width", x.cols / 4).param("stride", x.stride / 4).param("offset", x.offset / 4);
        dispatch.param("weight_offset", weight.offset / 4).param("bias_offset", bias.offset / 4).param("eps", self.eps);
        dispatch.bind("x", &x.slice).bind("weight", &weight.slice).bind("bias", &bias.slice).bind("y", &y.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, weight, bias, y] = operands else { panic!("layer_norm takes 4 operands") };
        let (x, weight, bias, y) = (x.tensor(), weight.tensor(), bias.tensor(), y.tensor_mut());
        for row in 0..x.rows {
            let of = x.row(row);
            let n = of.len() as f64;
            let mean = of.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
            let variance = of.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
            let scale = (variance + f64::from(self.eps)).sqrt().recip();
            for (i, y) in y.row_mut(row).iter_mut().enumerate() {
                *y = ((f64::from(of[i]) - mean) * scale * f64::from(weight.data[i]) + f64::from(bias.data[i])) as f32;
            }
        }
    }

    fn kernels(&self, inputs: &[Type], caps: &Caps) -> String {
        workgroup(inputs[0].cols, caps).to_string()
    }

    fn smoke(&self, inputs: &[Type]) -> Case {
        self.clone().case(3, if inputs[0].cols <= 512 { 256 } else { 768 }, 0.5)
    }
}

impl LayerNorm {
    /// A case whose rows lie around `mean`.
    fn case(self, rows: usize, dim: usize, mean: f32) -> Case {
        let mut rng = Rng::new((rows * dim) as u64 + 17);
        let mut x = rng.tensor(rows, dim);
        x.data.iter_mut().for_each(|v| *v += mean);
        let operands = vec![x.into(), rng.tensor(1, dim).into(), rng.tensor(1, dim).into(), Array::zeros(rows, dim).into()];
        Case::new(format!("{rows}x{dim} around {mean}"), self, operands, dim)
    }
}
