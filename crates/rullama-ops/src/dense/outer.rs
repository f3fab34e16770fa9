//! Sums of outer products: the gradient of a factor of a product.

use super::{by_quads, unit};
use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::Host;
use crate::op::{Context, Op, Operand, Tensor, Use};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

/// `c[first_row + m, n] += scale * sum over t of a[t, m] b[t, n]`.
///
/// Operands: `a: [tokens, M]`, `b: [tokens, N]`, updated `c: [rows, N]` with `first_row + M <= rows`. Any M and N. Sums in f32, always
/// in the same order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OuterSum {
    pub scale: f32,
    pub first_row: u32,
}

impl Graph {
    /// `c[first_row + m, n] += scale * sum over t of a[t, m] b[t, n]`: `c` as it is then.
    pub fn outer_sum(&mut self, a: Value, b: Value, c: Value, scale: f32, first_row: u32) -> Value {
        self.one(OuterSum { scale, first_row }, &[a, b, c])
    }
}

/// Quads of columns of a workgroup, and slices of the tokens.
const QUADS: u32 = 8;
const SLICES: u32 = 32;
/// Quads of columns of a workgroup without slices.
const ALONE: u32 = 32;

impl OuterSum {
    fn tensors<'a>(&self, operands: &'a [Operand]) -> Result<[&'a Tensor; 3], GpuError> {
        let invalid = |message: String| GpuError::Validation { what: "operands of an outer sum".into(), message };
        let [a, b, c] = operands else { return Err(invalid(format!("3 are wanted, {} given", operands.len()))) };
        let (a, b, c) = (a.tensor()?, b.tensor()?, c.tensor()?);
        let rows = self.first_row.checked_add(a.cols).is_some_and(|end| end <= c.rows);
        if a.rows != b.rows || b.cols != c.cols || !rows || a.rows == 0 || a.cols == 0 || b.cols == 0 {
            let shapes = [a, b, c].map(|of| format!("[{}, {}]", of.rows, of.cols)).join(", ");
            return Err(invalid(format!("{self:?}: {shapes}")));
        }
        Ok([a, b, c])
    }
}

impl Op for OuterSum {
    fn name(&self) -> &'static str {
        "outer_sum"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Update]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [a, b, c] = take(inputs)?;
        let f32s = [a, b, c].iter().all(|of| of.number == Number::F32 && of.cols > 0);
        let rows = self.first_row.checked_add(a.cols).is_some_and(|end| end <= c.rows);
        fit(f32s && a.rows == b.rows && a.rows > 0 && b.cols == c.cols && rows, &[("a", &a), ("b", &b), ("c", &c)])?;
        Ok(Vec::new())
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        if caps.software { vec!["whole", "slices"] } else { vec!["slices", "whole"] }
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let [a, b, c] = self.tensors(operands)?;
        let sliced = context.variant(self, operands)? == "slices";
        let rows_wide = a.cols > b.cols;
        let (wide, narrow) = if rows_wide { (a, b) } else { (b, a) };
        let blocks = if narrow.cols > 4 { 2 } else { 1 };
        let quads = if sliced { QUADS } else { ALONE };
        let by_quads = by_quads(wide) && by_quads(narrow);
        let mut link = Link::new("dense/outer", rullama_quant::wgsl!("outer.wgsl"), context.caps);
        link.flag("slices", sliced).flag("rows_wide", rows_wide).flag("quads", by_quads);
        let slices = if sliced { SLICES.min(context.caps.invocations / QUADS) } else { 1 };
        for (name, value) in [("BLOCKS", blocks), ("QUADS", quads), ("SLICES", slices), ("WG", quads * slices)] {
            link.constant(name, value);
        }
        let kernel = link.kernel()?;
        let groups = [wide.cols.div_ceil(4 * quads), narrow.cols.div_ceil(4 * blocks), 1];
        let dispatch = context.recorder.dispatch(&kernel, groups);
        dispatch.param("tokens", a.rows).param("wide_cols", wide.cols).param("narrow_cols", narrow.cols).param("scale", self.scale);
        let by = unit(by_quads);
        dispatch.param("wide_offset", wide.offset / by).param("wide_stride", wide.stride / by).bind("wide", &wide.slice);
        dispatch.param("narrow_offset", narrow.offset / by).param("narrow_stride", narrow.stride / by).bind("narrow", &narrow.slice);
        dispatch.param("c_offset", c.offset + self.first_row * c.stride).param("c_stride", c.stride).bind("c", &c.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [a, b, c] = operands else { panic!("an outer sum takes 3 operands") };
        let (a, b, c) = (a.tensor(), b.tensor(), c.tensor_mut());
        for m in 0..a.cols {
            for (n, c) in c.row_mut(self.first_row as usize + m).iter_mut().enumerate() {
                let sum: f64 = (0..a.rows).map(|t| f64::from(a.row(t)[m]) * f64::from(b.row(t)[n])).sum();
                *c = (f64::from(*c) + f64::from(self.scale) * sum) as f32;
            }
        }
    }

    fn work(&self, inputs: &[Type], _: u32) -> u64 {
        u64::from(inputs[0].rows) * u64::from(inputs[0].cols) * u64::from(inputs[1].cols)
    }

    fn kernels(&self, inputs: &[Type], _: &Caps) -> String {
        format!("{:?}", small(inputs))
    }

    fn smoke(&self, inputs: &[Type]) -> Case {
        let (m, n) = small(inputs);
        let mut rng = Rng::new((m * n) as u64);
        let operands = vec![rng.tensor(5, m).into(), rng.tensor(5, n).into(), rng.tensor(m + 3, n).into()];
        Case::new(format!("{m}x{n}"), OuterSum { scale: 0.7, first_row: 2 }, operands, 5)
    }
}

/// Columns that get the same kernels as these.
fn small(inputs: &[Type]) -> (usize, usize) {
    let few = |size: u32| if size <= 4 { size as usize } else { 20 + (size % 4) as usize };
    let (m, n) = (few(inputs[0].cols), few(inputs[1].cols));
    // The wider one stays that.
    if inputs[0].cols > inputs[1].cols { (m + 4, n) } else { (m, n + 4) }
}
