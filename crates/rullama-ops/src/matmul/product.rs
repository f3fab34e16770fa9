//! Operands with checked shapes, and their dispatches: one a chunk of the weight, and one more where its terms are shared.

use super::{Epilogue, Matmul, Prologue};
use super::sizes::{Dims, Sizes, Tile, Vector, lanes};
use crate::codes::{ALIGNMENT, GROUP, Quantise, bind_made, link_made};
use crate::graph::Type;
use crate::op::{Context, Op, Operand, Tensor, spread};
use crate::shader::Link;
use crate::weight::{Chunk, Weight};
use rullama_gpu::{Caps, DispatchBuilder, GpuError, Kernel, Slice};

/// Invocations of a workgroup of the sum over shares.
const WORKGROUP: u32 = 64;

/// A product's operands with checked shapes.
#[derive(Debug, Clone, Copy)]
pub struct Product<'a> {
    op: &'a Matmul,
    x: &'a Tensor,
    w: &'a Weight,
    /// Operands of the prologue, and of the epilogue.
    before: &'a [Operand],
    after: &'a [Operand],
    y: &'a Tensor,
    /// Whether the sums' kernels make codes.
    codes: bool,
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
        if !fits || x.rows == 0 || w.rows == 0 {
            return Err(invalid(shapes()));
        }
        if (x.stride | x.offset) % 4 != 0 || y.stride != y.cols || y.offset != 0 {
            return Err(invalid(format!("{}: x wants multiples of 4 for stride and offset, y none", shapes())));
        }
        if op.prologue == Prologue::Int8 && !w.dtype.has_codes() {
            return Err(invalid(format!("{}: {} has no codes", shapes(), w.dtype)));
        }
        if op.epilogue.pairs() && (w.rows % 2 != 0 || w.chunks.iter().any(|c| (c.first_row | c.rows) % 2 != 0)) {
            return Err(invalid(format!("{}: chunks must hold whole pairs of rows", shapes())));
        }
        Ok(Product { op, x, w, before, after, y, codes: false })
    }

    pub fn dims(&self) -> Dims {
        self.op.dims_of(self.x.rows, self.w.rows, self.w.cols)
    }

    fn pairs(&self) -> bool {
        self.op.epilogue.pairs()
    }

    pub fn record(&self, context: &mut Context, sizes: Sizes) -> Result<(), GpuError> {
        let sizes = self.shared(sizes);
        let values = self.values_scratch(sizes);
        if values == 0 {
            return Product { codes: self.op.epilogue.codes(), ..*self }.record_sums(context, sizes);
        }
        let all = context.scratch(self.scratch(sizes))?;
        let values = Tensor { slice: Slice { offset: all.offset + all.size - values, size: values, ..all }, ..self.y.clone() };
        Product { y: &values, ..*self }.record_sums(context, sizes)?;
        Quantise.record(context, &[Operand::Tensor(values), Operand::Tensor(self.y.clone())])
    }

    fn record_sums(&self, context: &mut Context, sizes: Sizes) -> Result<(), GpuError> {
        match sizes {
            Sizes::Tile { tile, shares } => self.tile(context, tile, shares),
            Sizes::Vector { subgroups, sizes } => {
                let subgroup = context.caps.subgroups.filter(|_| subgroups).map(|s| s.0);
                self.vector(context, sizes, subgroup)
            }
        }
    }

    fn vector(&self, context: &mut Context, sizes: Vector, subgroup: Option<u32>) -> Result<(), GpuError> {
        if let Some(problem) = sizes.problem(self.w.cols / 32, self.pairs(), self.op.prologue == Prologue::Int8) {
            return Err(invalid(format!("{sizes:?}: {problem}")));
        }
        let Vector { team, rows, cols, unroll, workgroup } = sizes;
        let ragged = !(self.w.cols / 32).is_multiple_of(team * unroll) && unroll > 1;
        // Lanes of a team in one subgroup, whatever its size turns out to be.
        let lanes = subgroup.map_or(1, |size| lanes(size, team));
        let sides = if self.pairs() { 2 } else { 1 };
        let counts = [("SETS", rows / sides), ("SIDES", sides), ("COLS", cols), ("UNROLL", unroll)];
        let mut link = Link::new("matmul/vector", rullama_quant::wgsl!("vector.wgsl"), context.caps);
        link.flag("subgroups", subgroup.is_some()).flag("split", lanes < team).flag(self.op.prologue.flag(), true);
        link.flag("ragged", ragged);
        // Teams of one lane are a CPU's.
        let beside = subgroup.filter(|_| team == 1 && self.op.prologue == Prologue::Plain).map_or(1, |size| size.min(8));
        link.flag("beside", beside > 1).constant("BESIDE", beside).constant("QUADS", 8 / beside);
        link_made(&mut link, self.codes, subgroup.is_some(), context.caps);
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

    fn tile(&self, context: &mut Context, tile: Tile, shares: u32) -> Result<(), GpuError> {
        if let Some(problem) = tile.problem(context.caps) {
            return Err(invalid(format!("{tile:?}: {problem}")));
        }
        let mut link = match tile.int8 {
            true => Link::new("matmul/tile_int8", rullama_quant::wgsl!("tile_int8.wgsl"), context.caps),
            false => Link::new("matmul/tile", rullama_quant::wgsl!("tile.wgsl"), context.caps),
        };
        for (name, value) in tile.constants() {
            link.constant(name, value);
        }
        link.flag("tiles", true);
        let share = 8 * (self.w.cols / 32).div_ceil(shares);
        let groups = |chunk: &Chunk| [chunk.rows.div_ceil(tile.bn), self.x.rows.div_ceil(tile.bm), shares];
        if shares <= 1 {
            let kernel = self.kernel(&mut link)?;
            for chunk in &self.w.chunks {
                self.dispatch(context, &kernel, chunk, groups(chunk))?.param("share", share);
            }
            return Ok(());
        }
        let parts = context.scratch(self.shares_scratch(Sizes::Tile { tile, shares }))?;
        let sums = Product { codes: false, ..*self };
        let kernel = sums.modules(link.flag("shares", true), &Epilogue::Plain).kernel()?;
        for chunk in &self.w.chunks {
            let dispatch = sums.sums(context, &kernel, chunk, groups(chunk), &parts)?;
            dispatch.param("share", share);
            self.finish(context, shares, &parts, chunk)?;
        }
        Ok(())
    }

    /// Bytes of scratch: sums over shares of the terms, then values that become codes in a dispatch of their own.
    pub fn scratch(&self, sizes: Sizes) -> u64 {
        let sizes = self.shared(sizes);
        let (shares, values) = (self.shares_scratch(sizes), self.values_scratch(sizes));
        if values == 0 { shares } else { shares.next_multiple_of(ALIGNMENT) + values }
    }

    /// Whether chunks hold whole groups of codes.
    fn in_groups(&self) -> bool {
        self.w.chunks.iter().all(|chunk| (chunk.first_row | chunk.rows).is_multiple_of(2 * GROUP as u32))
    }

    /// One buffer cannot be read and written at once, as scratch would be where both sums over shares and values lie in it.
    fn shared(&self, sizes: Sizes) -> Sizes {
        match sizes {
            Sizes::Tile { tile, .. } if self.op.epilogue.codes() && !self.in_groups() => Sizes::Tile { tile, shares: 1 },
            sizes => sizes,
        }
    }

    /// Tiles whose terms are not shared make no codes, nor does a workgroup with part of a group.
    fn values_scratch(&self, sizes: Sizes) -> u64 {
        let makes = match sizes {
            Sizes::Vector { sizes, .. } => sizes.pairs().is_multiple_of(GROUP as u32),
            Sizes::Tile { shares, .. } => shares > 1,
        };
        let direct = makes && self.in_groups();
        if self.op.epilogue.codes() && !direct { Type::f32(self.y.rows, self.y.cols).bytes() } else { 0 }
    }

    fn shares_scratch(&self, sizes: Sizes) -> u64 {
        self.dims().scratch(sizes, self.w.chunks.iter().map(|chunk| chunk.rows).max().unwrap_or(0))
    }

    /// Bytes for the most hungry variant: the best may be banned.
    pub fn most_scratch(&self, dims: &Dims, caps: &Caps) -> u64 {
        dims.variants(caps).into_iter().map(|variant| self.scratch(dims.sizes(variant, caps))).max().unwrap_or(0)
    }

    /// Adds up the shares of a chunk's sums.
    fn finish(&self, context: &mut Context, shares: u32, parts: &Slice, chunk: &Chunk) -> Result<(), GpuError> {
        let mut link = Link::new("matmul/shares", rullama_quant::wgsl!("shares.wgsl"), context.caps);
        let sides = self.op.epilogue.together() as u32;
        link.constant("WG", WORKGROUP).constant("SIDES", sides).flag("pairs", self.pairs()).flag("codes", self.codes);
        let kernel = link.module("epilogue", self.op.epilogue.module()).kernel()?;
        let values = self.x.rows * (chunk.rows / sides) / if self.codes { 4 } else { 1 };
        let dispatch = context.recorder.dispatch(&kernel, spread(values.div_ceil(WORKGROUP), context.caps.max_groups));
        dispatch.param("rows", chunk.rows).param("first_row", chunk.first_row).param("tokens", self.x.rows);
        dispatch.param("shares", shares).param("y_stride", self.y.stride).bind("parts", parts);
        bind_made(dispatch, self.y, self.codes);
        self.op.epilogue.bind(dispatch, self.after)
    }

    /// Links what every kernel of this product has.
    fn modules<'l>(&self, link: &'l mut Link, epilogue: &Epilogue) -> &'l mut Link {
        link.module("product", rullama_quant::wgsl!("product.wgsl")).module("weight", rullama_quant::wgsl(self.w.dtype));
        link.module("x", rullama_quant::wgsl!("prologue/x.wgsl")).module("codes", rullama_quant::codes_wgsl(self.w.dtype).unwrap_or_default());
        link.module("tile_put", rullama_quant::wgsl!("tile_put.wgsl"));
        link.module("prologue", self.op.prologue.module()).module("epilogue", epilogue.module());
        link.flag("pairs", epilogue.pairs())
    }

    fn kernel(&self, link: &mut Link) -> Result<Kernel, GpuError> {
        self.modules(link, &self.op.epilogue).kernel()
    }

    /// Sums over the rows of a chunk, finished.
    fn dispatch<'c>(
        &self,
        context: &'c mut Context,
        kernel: &Kernel,
        chunk: &Chunk,
        groups: [u32; 3],
    ) -> Result<&'c mut DispatchBuilder, GpuError> {
        let dispatch = self.sums(context, kernel, chunk, groups, &self.y.slice)?;
        self.op.epilogue.bind(dispatch, self.after)?;
        Ok(dispatch)
    }

    /// Sums over the rows of a chunk.
    fn sums<'c>(
        &self,
        context: &'c mut Context,
        kernel: &Kernel,
        chunk: &Chunk,
        groups: [u32; 3],
        to: &Slice,
    ) -> Result<&'c mut DispatchBuilder, GpuError> {
        let dispatch = context.recorder.dispatch(kernel, groups);
        for (name, start) in ["plane0", "plane1", "plane2", "plane3"].into_iter().zip(chunk.planes) {
            dispatch.param(name, start);
        }
        dispatch.param("rows", chunk.rows).param("first_row", chunk.first_row).param("groups", self.w.cols / 32);
        dispatch.param("start", chunk.start).param("step", chunk.step);
        dispatch.param("tokens", self.x.rows).param("y_stride", self.y.stride);
        dispatch.bind("weight", &chunk.slice);
        if self.codes {
            bind_made(dispatch, self.y, true);
        } else {
            dispatch.bind("y", to);
        }
        self.op.prologue.bind(dispatch, self.x, self.before)?;
        Ok(dispatch)
    }
}
