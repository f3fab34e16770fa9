//! Operands with checked shapes, and their dispatches: one a chunk of the weight, and one more where its rows are shared.

use super::MatmulT;
use super::sizes::{Dims, Kernel, Sizes};
use crate::matmul::sizes::Tile;
use crate::op::{Context, Operand, Tensor, spread};
use crate::shader::Link;
use crate::weight::{Chunk, Weight};
use rullama_gpu::{DispatchBuilder, GpuError, Slice};

/// Invocations of a workgroup of `columns` and of the sum over shares.
const WORKGROUP: u32 = 64;

#[derive(Debug, Clone, Copy)]
pub struct Product<'a> {
    g: &'a Tensor,
    w: &'a Weight,
    acc: Option<&'a Tensor>,
    y: &'a Tensor,
}

/// What is added to.
#[derive(Debug, Clone, Copy)]
enum Sum<'a> {
    Nothing,
    InPlace,
    Other(&'a Tensor),
}

fn invalid(message: String) -> GpuError {
    GpuError::Validation { what: "operands of a transposed matmul".into(), message }
}

impl<'a> Product<'a> {
    /// Checks what types do not say: strides and places.
    pub fn new(op: &MatmulT, operands: &'a [Operand]) -> Result<Self, GpuError> {
        let [g, w, rest @ .., y] = operands else { return Err(invalid(format!("{} are too few", operands.len()))) };
        let (g, w, y) = (g.tensor()?, w.weight()?.as_ref(), y.tensor()?);
        let acc = match rest {
            [acc] if op.add => Some(acc.tensor()?),
            [] if !op.add => None,
            _ => return Err(invalid(format!("{op:?} does not take {} operands", operands.len()))),
        };
        let shapes = || format!("g [{}, {}], weight `{}` [{}, {}], y [{}, {}]", g.rows, g.cols, w.name, w.rows, w.cols, y.rows, y.cols);
        let fits = g.cols == w.rows && w.cols.is_multiple_of(32) && y.rows == g.rows && y.cols == w.cols;
        let summed = acc.is_none_or(|acc| (acc.rows, acc.cols) == (y.rows, y.cols) && (acc.stride | acc.offset).is_multiple_of(4));
        if !fits || !summed || g.rows == 0 || w.rows == 0 || y.stride != y.cols || y.offset != 0 {
            return Err(invalid(format!("{}, acc {acc:?}", shapes())));
        }
        Ok(Product { g, w, acc, y })
    }

    pub fn dims(&self) -> Dims {
        Dims { tokens: self.g.rows, rows: self.w.rows, cols: self.w.cols }
    }

    /// Bytes of the sums over shares.
    pub fn scratch(&self, sizes: &Sizes) -> u64 {
        self.dims().scratch(sizes)
    }

    pub fn record(&self, context: &mut Context, sizes: &Sizes) -> Result<(), GpuError> {
        for (i, chunk) in self.w.chunks.iter().enumerate() {
            let sum = match self.acc {
                Some(acc) if i == 0 && !acc.slice.same(&self.y.slice) => Sum::Other(acc),
                None if i == 0 => Sum::Nothing,
                _ => Sum::InPlace,
            };
            if sizes.shares <= 1 {
                self.chunk(context, sizes, chunk, &self.y.slice, sum)?;
                continue;
            }
            let parts = context.scratch(self.scratch(sizes))?;
            self.chunk(context, sizes, chunk, &parts, Sum::Nothing)?;
            self.add(context, sizes.shares, &parts, sum)?;
        }
        Ok(())
    }

    /// Adds up the shares.
    fn add(&self, context: &mut Context, shares: u32, parts: &Slice, sum: Sum) -> Result<(), GpuError> {
        let mut link = Link::new("matmul/transposed/add", rullama_quant::wgsl!("add.wgsl"), context.caps);
        link.constant("WG", WORKGROUP);
        let kernel = sum.flags(&mut link).kernel()?;
        let quads = self.y.cols / 4;
        let groups = spread((self.y.rows * quads).div_ceil(WORKGROUP), context.caps.max_groups);
        let dispatch = context.recorder.dispatch(&kernel, groups);
        dispatch.param("quads", quads).param("tokens", self.y.rows).param("shares", shares);
        dispatch.bind("parts", parts).bind("y", &self.y.slice);
        sum.bind(dispatch);
        Ok(())
    }

    /// Sums over the rows of a chunk.
    fn chunk(&self, context: &mut Context, sizes: &Sizes, chunk: &Chunk, to: &Slice, sum: Sum) -> Result<(), GpuError> {
        match sizes.kernel {
            Kernel::Tile(tile) => self.tile(context, tile, sizes.shares, chunk, to, sum),
            Kernel::Columns { cols, quads } => self.columns(context, (cols, quads), sizes.shares, chunk, to, sum),
        }
    }

    fn tile(&self, context: &mut Context, tile: Tile, shares: u32, chunk: &Chunk, to: &Slice, sum: Sum) -> Result<(), GpuError> {
        if let Some(problem) = tile.problem(context.caps) {
            return Err(invalid(format!("{tile:?}: {problem}")));
        }
        let Tile { bm, bn, bk, .. } = tile;
        let mut link = Link::new("matmul/transposed/tile", rullama_quant::wgsl!("tile.wgsl"), context.caps);
        for (name, value) in tile.constants() {
            link.constant(name, value);
        }
        let quads = (self.g.stride | self.g.offset | chunk.first_row | chunk.rows).is_multiple_of(4);
        link.flag("quads", quads);
        let groups = [self.y.cols.div_ceil(bn), self.y.rows.div_ceil(bm), shares];
        let share = chunk.rows.div_ceil(shares).next_multiple_of(bk);
        self.dispatch(context, &mut link, chunk, (groups, share, if quads { 4 } else { 1 }), to, sum)
    }

    fn columns(
        &self,
        context: &mut Context,
        (cols, quads): (u32, u32),
        shares: u32,
        chunk: &Chunk,
        to: &Slice,
        sum: Sum,
    ) -> Result<(), GpuError> {
        let mut link = Link::new("matmul/transposed/columns", rullama_quant::wgsl!("columns.wgsl"), context.caps);
        link.flag("group", quads == 8).constant("COLS", cols).constant("QUADS", quads);
        // The units of short rows fill no more.
        let workgroup = (self.y.cols / 4 / quads).next_power_of_two().min(if context.caps.software { 32 } else { WORKGROUP });
        link.constant("WG", workgroup);
        let groups = [(self.y.cols / 4 / quads).div_ceil(workgroup), self.y.rows.div_ceil(cols), shares];
        self.dispatch(context, &mut link, chunk, (groups, chunk.rows.div_ceil(shares), 1), to, sum)
    }

    /// `unit`: values of g that are read at once.
    fn dispatch(
        &self,
        context: &mut Context,
        link: &mut Link,
        chunk: &Chunk,
        (groups, share, unit): ([u32; 3], u32, u32),
        to: &Slice,
        sum: Sum,
    ) -> Result<(), GpuError> {
        link.module("product", rullama_quant::wgsl!("product.wgsl")).module("weight", rullama_quant::wgsl(self.w.dtype));
        let kernel = sum.flags(link).kernel()?;
        let dispatch = context.recorder.dispatch(&kernel, groups);
        for (name, start) in ["plane0", "plane1", "plane2", "plane3"].into_iter().zip(chunk.planes) {
            dispatch.param(name, start);
        }
        dispatch.param("rows", chunk.rows).param("share", share).param("start", chunk.start).param("step", chunk.step);
        dispatch.param("groups", self.w.cols / 32).param("tokens", self.y.rows);
        dispatch.param("g_offset", (self.g.offset + chunk.first_row) / unit).param("g_stride", self.g.stride / unit);
        dispatch.bind("weight", &chunk.slice).bind("g", &self.g.slice).bind("y", to);
        sum.bind(dispatch);
        Ok(())
    }
}

impl Sum<'_> {
    fn flags<'l>(&self, link: &'l mut Link) -> &'l mut Link {
        link.flag("acc", matches!(self, Sum::Other(_))).flag("in_place", matches!(self, Sum::InPlace))
    }

    fn bind(&self, dispatch: &mut DispatchBuilder) {
        if let Sum::Other(acc) = self {
            dispatch.param("acc_offset", acc.offset / 4).param("acc_stride", acc.stride / 4).bind("acc", &acc.slice);
        }
    }
}
