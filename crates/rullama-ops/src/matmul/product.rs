//! Operands with checked shapes, and their dispatches: one a chunk of the weight.

use super::Matmul;
use super::sizes::{Dims, Sizes, Tile, Vector};
use super::unroll::unroll;
use crate::op::{Context, Operand, Tensor, spread};
use crate::shader::Link;
use crate::weight::{Chunk, Weight};
use rullama_gpu::{GpuError, Kernel};

/// A product's operands with checked shapes.
#[derive(Debug, Clone, Copy)]
pub struct Product<'a> {
    op: &'a Matmul,
    x: &'a Tensor,
    w: &'a Weight,
    /// Operands of the prologue and of the epilogue.
    before: &'a [Operand],
    after: &'a [Operand],
    y: &'a Tensor,
}

fn invalid(message: String) -> GpuError {
    GpuError::Validation { what: "operands of a matmul".into(), message }
}

impl<'a> Product<'a> {
    /// Checks what types do not say: chunks, strides and places.
    pub fn new(op: &'a Matmul, operands: &'a [Operand]) -> Result<Self, GpuError> {
        let [x, w, extras @ .., y] = operands else {
            return Err(invalid(format!("{op:?} does not take {} operands", operands.len())));
        };
        let (x, w, y) = (x.tensor()?, w.weight()?, y.tensor()?);
        let (before, after) = extras.split_at(op.prologue.extras().min(extras.len()));
        let shapes = || format!("x [{}, {}], weight `{}` [{}, {}], y [{}, {}]", x.rows, x.cols, w.name, w.rows, w.cols, y.rows, y.cols);
        let fits = x.cols == w.cols && w.cols.is_multiple_of(32) && y.rows == x.rows && y.cols == op.epilogue.values(w.rows);
        if !fits || x.rows == 0 || w.rows == 0 || after.len() != op.epilogue.extras() {
            return Err(invalid(shapes()));
        }
        if (x.stride | x.offset) % 4 != 0 || y.stride != y.cols || y.offset != 0 {
            return Err(invalid(format!("{}: x wants multiples of 4 for stride and offset, y none", shapes())));
        }
        if op.epilogue.pairs() && (w.rows % 2 != 0 || w.chunks.iter().any(|c| (c.first_row | c.rows) % 2 != 0)) {
            return Err(invalid(format!("{}: chunks must hold whole pairs of rows", shapes())));
        }
        Ok(Product { op, x, w, before, after, y })
    }

    pub fn dims(&self) -> Dims {
        self.op.dims_of(self.x.rows, self.w.rows, self.w.cols)
    }

    fn pairs(&self) -> bool {
        self.op.epilogue.pairs()
    }

    pub fn record(&self, context: &mut Context, sizes: Sizes) -> Result<(), GpuError> {
        match sizes {
            Sizes::Tile(tile) => self.tile(context, tile),
            Sizes::Vector { subgroups, sizes } => {
                let subgroup = context.caps.subgroups.filter(|_| subgroups).map(|s| s.0);
                self.vector(context, sizes, subgroup)
            }
        }
    }

    fn vector(&self, context: &mut Context, sizes: Vector, subgroup: Option<u32>) -> Result<(), GpuError> {
        if let Some(problem) = sizes.problem(self.w.cols / 32, self.pairs()) {
            return Err(invalid(format!("{sizes:?}: {problem}")));
        }
        let Vector { team, rows, cols, unroll: groups_at_once, workgroup } = sizes;
        // Lanes of a team in one subgroup, whatever its size turns out to be.
        let lanes = subgroup.map_or(1, |size| size.min(team));
        let sides = if self.pairs() { 2 } else { 1 };
        let counts = [("SETS", rows / sides), ("SIDES", sides), ("COLS", cols), ("UNROLL", groups_at_once)];
        let text = unroll(include_str!("vector.wgsl"), &counts)?;
        let mut link = Link::new("matmul/vector", &text, context.caps);
        link.flag("subgroups", subgroup.is_some()).flag("split", lanes < team);
        for (name, value) in counts.into_iter().chain([("TEAM", team), ("LANES", lanes), ("WG", workgroup)]) {
            link.constant(name, value);
        }
        let kernel = self.kernel(&mut link)?;
        for chunk in &self.w.chunks {
            let [gx, gy, _] = spread(chunk.rows.div_ceil(workgroup / team * rows), context.caps.max_groups);
            self.dispatch(context, &kernel, chunk, [gx, gy, self.x.rows.div_ceil(cols)])?;
        }
        Ok(())
    }

    fn tile(&self, context: &mut Context, tile: Tile) -> Result<(), GpuError> {
        if let Some(problem) = tile.problem(context.caps) {
            return Err(invalid(format!("{tile:?}: {problem}")));
        }
        let Tile { bm, bn, bk, tm, tn } = tile;
        let loads = |block: u32| block * bk / 4 / tile.invocations();
        let counts = [("TM", tm), ("HALF", tn / 2), ("X_LOADS", loads(bm)), ("W_LOADS", loads(bn))];
        let text = unroll(include_str!("tile.wgsl"), &counts)?;
        let mut link = Link::new("matmul/tile", &text, context.caps);
        for (name, value) in [("BM", bm), ("BN", bn), ("BK", bk), ("TM", tm), ("TN", tn)] {
            link.constant(name, value);
        }
        let kernel = self.kernel(&mut link)?;
        for chunk in &self.w.chunks {
            self.dispatch(context, &kernel, chunk, [chunk.rows.div_ceil(bn), self.x.rows.div_ceil(bm), 1])?;
        }
        Ok(())
    }

    fn kernel<'k>(&self, link: &mut Link<'k>) -> Result<Kernel, GpuError> {
        link.module("product", include_str!("product.wgsl")).module("weight", rullama_quant::wgsl(self.w.dtype));
        link.module("x", include_str!("prologue/x.wgsl"));
        link.module("prologue", self.op.prologue.module()).module("epilogue", self.op.epilogue.module());
        link.flag("pairs", self.pairs()).kernel()
    }

    fn dispatch(&self, context: &mut Context, kernel: &Kernel, chunk: &Chunk, groups: [u32; 3]) -> Result<(), GpuError> {
        let dispatch = context.recorder.dispatch(kernel, groups);
        for (name, start) in ["plane0", "plane1", "plane2", "plane3"].into_iter().zip(chunk.planes) {
            dispatch.param(name, start);
        }
        dispatch.param("rows", chunk.rows).param("first_row", chunk.first_row).param("groups", self.w.cols / 32);
        dispatch.param("start", chunk.start).param("step", chunk.step);
        dispatch.param("tokens", self.x.rows).param("y_stride", self.y.stride);
        dispatch.bind("weight", &chunk.slice).bind("y", &self.y.slice);
        self.op.prologue.bind(dispatch, self.x, self.before)?;
        self.op.epilogue.bind(dispatch, self.after)
    }
}
