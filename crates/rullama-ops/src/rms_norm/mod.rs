//! Root-mean-square norm.

use crate::host::{Host, root_mean_square};
use crate::op::{Context, Op, Operand, reducing_variants, spread};
use crate::shader::Link;
use rullama_gpu::{Access, Caps, GpuError};

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

/// Workgroup size: a row of a few thousand values.
const WORKGROUP: u32 = 256;

impl Op for RmsNorm {
    fn name(&self) -> &'static str {
        "rms_norm"
    }

    fn access(&self) -> Vec<Access> {
        vec![Access::Read, Access::Read, Access::ReadWrite]
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
}
