//! Operands with checked shapes, and their dispatches: one a chunk of the weight.

use super::ExpertProduct;
use crate::matmul::sizes::{Dims, Sizes, Vector};
use crate::matmul::unroll::unroll;
use crate::op::{Context, Operand, Tensor, spread};
use crate::shader::Link;
use crate::weight::{Chunk, Weight};
use rullama_gpu::{GpuError, Kernel};

/// A product's operands with checked shapes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product<'a> {
    op: &'a ExpertProduct,
    x: &'a Tensor,
    ids: &'a Tensor,
    w: &'a Weight,
    y: &'a Tensor,
}

fn invalid(message: String) -> GpuError {
    GpuError::Validation { what: "operands of a product with experts".into(), message }
}

impl<'a> Product<'a> {
    /// Checks what types do not say: chunks, strides and places.
    pub fn new(op: &'a ExpertProduct, operands: &'a [Operand]) -> Result<Self, GpuError> {
        let [x, ids, w, y] = operands else {
            return Err(invalid(format!("{op:?} does not take {} operands", operands.len())));
        };
        let (x, ids, w, y) = (x.tensor()?, ids.tensor()?, w.weight()?, y.tensor()?);
        let product = Product { op, x, ids, w, y };
        let shapes = || {
            format!("{op:?}, x [{}, {}], weight `{}` [{}, {}], y [{}, {}]", x.rows, x.cols, w.name, w.rows, w.cols, y.rows, y.cols)
        };
        let slots = ids.rows * ids.cols;
        let rows = [ids.rows, slots].contains(&x.rows) && y.rows == slots && slots > 0;
        let fits = rows && x.cols == w.cols && w.cols.is_multiple_of(32) && op.experts > 0 && y.cols == op.values(w.rows) && y.cols > 0;
        if !fits || w.rows != op.experts * product.rows() {
            return Err(invalid(shapes()));
        }
        if (x.stride | x.offset) % 4 != 0 || y.stride != y.cols || y.offset != 0 {
            return Err(invalid(format!("{}: x wants multiples of 4 for stride and offset, y none", shapes())));
        }
        if w.chunks.iter().any(|c| c.first_row % product.rows() != 0 || c.rows % product.rows() != 0) {
            return Err(invalid(format!("{}: chunks must hold whole experts", shapes())));
        }
        Ok(product)
    }

    /// Rows of an expert.
    fn rows(&self) -> u32 {
        self.y.cols * if self.op.gated { 2 } else { 1 }
    }

    pub fn dims(&self) -> Dims {
        self.op.dims(self.y.rows, self.w.rows, self.w.cols)
    }

    pub fn record(&self, context: &mut Context, sizes: Sizes) -> Result<(), GpuError> {
        let Sizes::Vector { subgroups, sizes } = sizes else {
            return Err(invalid(format!("{sizes:?} is not for experts")));
        };
        let subgroup = context.caps.subgroups.filter(|_| subgroups).map(|s| s.0);
        if let Some(problem) = sizes.problem(self.w.cols / 32, self.op.gated) {
            return Err(invalid(format!("{sizes:?}: {problem}")));
        }
        let Vector { team, rows, unroll: groups_at_once, workgroup, .. } = sizes;
        // Lanes of a team in one subgroup, whatever its size turns out to be.
        let lanes = subgroup.map_or(1, |size| size.min(team));
        let sides = if self.op.gated { 2 } else { 1 };
        let counts = [("SETS", rows / sides), ("SIDES", sides), ("UNROLL", groups_at_once)];
        let text = unroll(include_str!("vector.wgsl"), &counts)?;
        let mut link = Link::new("experts/vector", &text, context.caps);
        link.module("weight", rullama_quant::wgsl(self.w.dtype)).flag("pairs", self.op.gated);
        link.flag("subgroups", subgroup.is_some()).flag("split", lanes < team);
        for (name, value) in counts.into_iter().chain([("TEAM", team), ("LANES", lanes), ("WG", workgroup)]) {
            link.constant(name, value);
        }
        let kernel = link.kernel()?;
        let most = context.caps.max_groups;
        let [gx, gy, _] = spread(self.y.cols.div_ceil(workgroup / team * (rows / sides)), most);
        for chunk in &self.w.chunks {
            for first in (0..self.y.rows).step_by(most as usize) {
                self.dispatch(context, &kernel, chunk, first, [gx, gy, most.min(self.y.rows - first)]);
            }
        }
        Ok(())
    }

    fn dispatch(&self, context: &mut Context, kernel: &Kernel, chunk: &Chunk, first_slot: u32, groups: [u32; 3]) {
        let dispatch = context.recorder.dispatch(kernel, groups);
        for (name, start) in ["plane0", "plane1", "plane2", "plane3"].into_iter().zip(chunk.planes) {
            dispatch.param(name, start);
        }
        dispatch.param("first_expert", chunk.first_row / self.rows()).param("experts", chunk.rows / self.rows());
        dispatch.param("start", chunk.start).param("step", chunk.step);
        dispatch.param("rows", self.rows()).param("values", self.y.cols).param("groups", self.w.cols / 32);
        dispatch.param("first_slot", first_slot).param("used", self.ids.cols).param("shared_by", self.y.rows / self.x.rows);
        dispatch.param("ids_offset", self.ids.offset).param("ids_stride", self.ids.stride);
        dispatch.param("x_offset", self.x.offset / 4).param("x_stride", self.x.stride / 4);
        dispatch.bind("weight", &chunk.slice).bind("ids", &self.ids.slice).bind("x", &self.x.slice).bind("y", &self.y.slice);
    }
}
