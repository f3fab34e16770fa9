//! The end of a block: post-norm, residual, and the norm that opens the next block.

use crate::host::{Host, root_mean_square};
use crate::op::{Context, Op, Operand, reducing_variants, spread};
use crate::shader::Link;
use rullama_gpu::{Access, Caps, GpuError};

#[cfg(feature = "cases")]
pub mod cases;

/// `h = (h + RMS(a) * weight) * scale`, then, when `next`, `y = RMS(h) * next_weight`.
///
/// Operands: `a: [tokens, dim]`, `weight: [1, dim]`, in and out `h: [tokens, dim]`; with
/// `next` also `next_weight: [1, dim]` and out `y: [tokens, dim]`. A fusion of `rms_norm`,
/// an addition, a scale and a second `rms_norm`: one dispatch in place of up to four.
#[derive(Debug, Clone)]
pub struct ResidualNorm {
    pub eps: f32,
    /// The layer's output scale; 1 within a layer.
    pub scale: f32,
    pub next: bool,
}

const WORKGROUP: u32 = 256;

impl Op for ResidualNorm {
    fn name(&self) -> &'static str {
        "residual_norm"
    }

    fn access(&self) -> Vec<Access> {
        let mut all = vec![Access::Read, Access::Read, Access::ReadWrite];
        if self.next {
            all.extend([Access::Read, Access::ReadWrite]);
        }
        all
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        reducing_variants(caps)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let variant = context.variant(self, operands)?;
        let [a, weight, h] = [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?];
        let kernel = Link::new("residual_norm", include_str!("residual_norm.wgsl"), context.caps)
            .flag("subgroups", variant == "subgroups")
            .flag("next", self.next)
            .constant("WG", WORKGROUP.min(context.caps.invocations))
            .kernel()?;
        let dispatch = context.recorder.dispatch(&kernel, spread(h.rows, context.caps.max_groups));
        dispatch.param("rows", h.rows).param("dim", h.cols / 4).param("stride", a.stride / 4).param("offset", a.offset / 4);
        dispatch.param("eps", self.eps).param("scale", self.scale);
        dispatch.bind("a", &a.slice).bind("weight", &weight.slice).bind("h", &h.slice);
        if self.next {
            dispatch.bind("next_weight", &operands[3].tensor()?.slice).bind("y", &operands[4].tensor()?.slice);
        }
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let (inputs, outputs) = operands.split_at_mut(2);
        let (a, weight) = (inputs[0].tensor(), inputs[1].tensor());
        let (h, rest) = outputs.split_first_mut().expect("residual_norm takes at least 3 operands");
        let h = h.tensor_mut();
        for row in 0..h.rows {
            let scale = 1.0 / root_mean_square(a.row(row), self.eps);
            for (i, out) in h.row_mut(row).iter_mut().enumerate() {
                let normed = f64::from(a.row(row)[i]) * scale * f64::from(weight.data[i]);
                *out = ((f64::from(*out) + normed) * f64::from(self.scale)) as f32;
            }
        }
        if let [next_weight, y] = rest {
            let (next_weight, y) = (next_weight.tensor(), y.tensor_mut());
            for row in 0..h.rows {
                let scale = 1.0 / root_mean_square(h.row(row), self.eps);
                for (i, out) in y.row_mut(row).iter_mut().enumerate() {
                    *out = (f64::from(h.row(row)[i]) * scale * f64::from(next_weight.data[i])) as f32;
                }
            }
        }
    }
}
