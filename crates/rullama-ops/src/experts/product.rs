//! Operands with checked shapes, and their dispatches: one a chunk of the weight.

use super::ExpertProduct;
use crate::matmul::sizes::{Dims, Tile, Vector};
use crate::op::{Context, Operand, Tensor, spread};
use crate::shader::Link;
use crate::weight::{Chunk, Weight};
use rullama_gpu::{Caps, DispatchBuilder, GpuError, Kernel, Slice};

/// Few slots of one expert: of 26B-A4B's 128, 8 a token, each gets 32 of a prompt's chunk of 512.
const TILE: Tile = Tile { bm: 32, bn: 64, bk: 32, tm: 4, tn: 4, int8: false };

/// What kernels are chosen by: a product of one token with the rows of all slots' experts, and whether experts have several slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub dims: Dims,
    pub batched: bool,
    /// Words of the masks that slots are ordered by; none where there are too many experts for workgroup memory.
    pub words: Option<u32>,
}

/// Words of 32 slots that the kernel which orders slots takes at a time: with two more a word for each expert within the workgroup
/// memory that WebGPU guarantees.
pub(super) fn order_words(experts: u32) -> Option<u32> {
    (4096 / experts.max(1)).checked_sub(2).map(|words| words.min(16)).filter(|words| *words > 0)
}

impl Choice {
    /// Best first. A CPU does one thing after another: tiles cost it barriers and bring nothing.
    pub fn variants(&self, caps: &Caps) -> Vec<&'static str> {
        let mut all = self.dims.variants(caps);
        if TILE.problem(caps).is_none() && self.words.is_some() {
            all.insert(if self.batched && !caps.software { 0 } else { all.len() }, "tile");
        }
        all
    }

    /// The sizes of a variant.
    pub fn sizes(&self, variant: &str, caps: &Caps) -> Sizes {
        match variant {
            "tile" => Sizes::Tile(TILE),
            _ => Sizes::Vector { subgroups: variant == "vector_subgroups", sizes: Vector::choose(&self.dims, caps) },
        }
    }
}

/// Sizes of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sizes {
    /// With subgroups if the adapter has them and `subgroups` is set.
    Vector {
        subgroups: bool,
        sizes: Vector,
    },
    Tile(Tile),
}

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

    pub fn choice(&self) -> Choice {
        self.op.choice(self.y.rows, self.w.rows, self.w.cols)
    }

    /// Bytes of scratch for tiles: slots in order, and three words a tile.
    pub fn scratch(&self) -> u64 {
        4 * (u64::from(self.y.rows) + 3 * u64::from(self.tiles()))
    }

    /// Most tiles that there can be, however slots fall on experts.
    fn tiles(&self) -> u32 {
        self.y.rows.div_ceil(TILE.bm) + self.op.experts.min(self.y.rows)
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
        if let Some(problem) = sizes.problem(self.w.cols / 32, self.op.gated) {
            return Err(invalid(format!("{sizes:?}: {problem}")));
        }
        let Vector { team, rows, unroll: groups_at_once, workgroup, .. } = sizes;
        // Lanes of a team in one subgroup, whatever its size turns out to be.
        let lanes = subgroup.map_or(1, |size| size.min(team));
        let sides = if self.op.gated { 2 } else { 1 };
        let counts = [("SETS", rows / sides), ("SIDES", sides), ("UNROLL", groups_at_once)];
        let mut link = Link::new("experts/vector", include_str!("vector.wgsl"), context.caps);
        link.flag("subgroups", subgroup.is_some()).flag("split", lanes < team).module("slots", include_str!("slots.wgsl"));
        for (name, value) in counts.into_iter().chain([("TEAM", team), ("LANES", lanes), ("WG", workgroup)]) {
            link.constant(name, value);
        }
        let kernel = self.kernel(&mut link)?;
        let most = context.caps.max_groups;
        let [gx, gy, _] = spread(self.y.cols.div_ceil(workgroup / team * (rows / sides)), most);
        for chunk in &self.w.chunks {
            for first in (0..self.y.rows).step_by(most as usize) {
                let dispatch = self.dispatch(context, &kernel, chunk, first, [gx, gy, most.min(self.y.rows - first)]);
                self.bind_slots(dispatch);
            }
        }
        Ok(())
    }

    fn tile(&self, context: &mut Context, tile: Tile) -> Result<(), GpuError> {
        if let Some(problem) = tile.problem(context.caps) {
            return Err(invalid(format!("{tile:?}: {problem}")));
        }
        let Tile { bm, bn, bk, tm, tn, .. } = tile;
        let order = context.scratch(self.scratch())?;
        self.order(context, &order, bm)?;
        let loads = |block: u32| block * bk / 4 / tile.invocations();
        let counts = [("HALF", tn / 2), ("X_LOADS", loads(bm)), ("W_LOADS", loads(bn))];
        let mut link = Link::new("experts/tile", include_str!("tile.wgsl"), context.caps);
        for (name, value) in counts.into_iter().chain([("BM", bm), ("BN", bn), ("BK", bk), ("TM", tm), ("TN", tn)]) {
            link.constant(name, value);
        }
        let kernel = self.kernel(&mut link)?;
        let (tiles, most) = (self.tiles(), context.caps.max_groups);
        let values = if self.op.gated { bn / 2 } else { bn };
        for chunk in &self.w.chunks {
            for first in (0..tiles).step_by(most as usize) {
                let groups = [self.y.cols.div_ceil(values), most.min(tiles - first), 1];
                self.dispatch(context, &kernel, chunk, first, groups).bind("order", &order);
            }
        }
        Ok(())
    }

    /// Puts slots in the order of their experts.
    fn order(&self, context: &mut Context, order: &Slice, bm: u32) -> Result<(), GpuError> {
        let mut link = Link::new("experts/order", include_str!("order.wgsl"), context.caps);
        link.module("slots", include_str!("slots.wgsl"));
        for (name, value) in [("EXPERTS", self.op.experts), ("BM", bm), ("WG", 256.min(context.caps.invocations))] {
            link.constant(name, value);
        }
        let words = order_words(self.op.experts).ok_or_else(|| invalid(format!("{:?}: too many experts to order slots by", self.op)))?;
        let kernel = link.constant("WORDS", words).kernel()?;
        let dispatch = context.recorder.dispatch(&kernel, [1, 1, 1]);
        dispatch.param("slots", self.y.rows).param("tiles", self.tiles()).bind("order", order);
        self.bind_slots(dispatch);
        Ok(())
    }

    fn bind_slots(&self, dispatch: &mut DispatchBuilder) {
        dispatch.param("used", self.ids.cols).param("ids_offset", self.ids.offset).param("ids_stride", self.ids.stride);
        dispatch.bind("ids", &self.ids.slice);
    }

    fn kernel(&self, link: &mut Link) -> Result<Kernel, GpuError> {
        link.module("experts", include_str!("experts.wgsl")).module("weight", rullama_quant::wgsl(self.w.dtype));
        link.flag("pairs", self.op.gated).kernel()
    }

    fn dispatch<'c>(
        &self,
        context: &'c mut Context,
        kernel: &Kernel,
        chunk: &Chunk,
        first: u32,
        groups: [u32; 3],
    ) -> &'c mut DispatchBuilder {
        let dispatch = context.recorder.dispatch(kernel, groups);
        for (name, start) in ["plane0", "plane1", "plane2", "plane3"].into_iter().zip(chunk.planes) {
            dispatch.param(name, start);
        }
        dispatch.param("first_expert", chunk.first_row / self.rows()).param("experts", chunk.rows / self.rows());
        dispatch.param("start", chunk.start).param("step", chunk.step);
        dispatch.param("rows", self.rows()).param("values", self.y.cols).param("groups", self.w.cols / 32);
        dispatch.param("first", first).param("slots", self.y.rows).param("shared_by", self.y.rows / self.x.rows);
        dispatch.param("x_offset", self.x.offset / 4).param("x_stride", self.x.stride / 4);
        dispatch.bind("weight", &chunk.slice).bind("x", &self.x.slice).bind("y", &self.y.slice)
    }
}
