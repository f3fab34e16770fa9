//! Operations on one element at a time.

use crate::host::Host;
use crate::op::{Context, Op, Operand, spread, state};
use crate::shader::Link;
use rullama_gpu::{Access, Caps, GpuError};

#[cfg(feature = "cases")]
pub mod cases;

const WORKGROUP: u32 = 64;

/// `h = (h + a) * scale`. Operands: `a: [tokens, dim]`, in and out `h: [tokens, dim]`.
#[derive(Debug, Clone)]
pub struct AddScale {
    pub scale: f32,
}

impl Op for AddScale {
    fn name(&self) -> &'static str {
        "add_scale"
    }

    fn access(&self) -> Vec<Access> {
        vec![Access::Read, Access::ReadWrite]
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let [a, h] = [operands[0].tensor()?, operands[1].tensor()?];
        let kernel = Link::new("add_scale", include_str!("add_scale.wgsl"), context.caps).constant("WG", WORKGROUP).kernel()?;
        let count = h.rows * h.cols / 4;
        let dispatch = context.recorder.dispatch(&kernel, spread(count.div_ceil(WORKGROUP), context.caps.max_groups));
        dispatch.param("count", count).param("dim", h.cols / 4).param("stride", a.stride / 4).param("offset", a.offset / 4);
        dispatch.param("scale", self.scale).bind("a", &a.slice).bind("h", &h.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [a, h] = operands else { panic!("add_scale takes 2 operands") };
        for (h, a) in h.tensor_mut().data.iter_mut().zip(&a.tensor().data) {
            *h = ((f64::from(*h) + f64::from(*a)) * f64::from(self.scale)) as f32;
        }
    }
}

/// `y = x[tokens - 1]`: the last real row of a padded step. Operands: `x: [rows, dim]`,
/// `state: Words` (its `TOKENS`), out `y: [1, dim]`.
#[derive(Debug, Clone)]
pub struct LastRow;

impl Op for LastRow {
    fn name(&self) -> &'static str {
        "last_row"
    }

    fn access(&self) -> Vec<Access> {
        vec![Access::Read, Access::Read, Access::ReadWrite]
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let (x, y) = (operands[0].tensor()?, operands[2].tensor()?);
        let kernel = Link::new("last_row", include_str!("last_row.wgsl"), context.caps)
            .constant("WG", WORKGROUP)
            .constant("TOKENS", state::TOKENS)
            .kernel()?;
        let dispatch = context.recorder.dispatch(&kernel, [(x.cols / 4).div_ceil(WORKGROUP), 1, 1]);
        dispatch.param("dim", x.cols / 4).param("rows", x.rows).param("stride", x.stride / 4).param("offset", x.offset / 4);
        dispatch.bind("x", &x.slice).bind("step", operands[1].words()?).bind("y", &y.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, step, y] = operands else { panic!("last_row takes 3 operands") };
        let row = step.words()[state::TOKENS as usize] as usize - 1;
        y.tensor_mut().data.copy_from_slice(x.tensor().row(row));
    }
}
