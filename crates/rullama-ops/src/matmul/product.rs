//! Choice of algorithm and shape, and the dispatches: one a chunk of the weight.

use super::unroll::unroll;
use crate::op::{Context, Operand, Tensor, spread};
use crate::shader::Link;
use crate::weight::{Chunk, Weight};
use rullama_gpu::{Caps, GpuError, Kernel, Slice};

/// What follows the sums.
#[derive(Debug, Clone, Copy)]
pub enum Finish<'a> {
    None,
    Softcap(f32),
    GeluMul(&'a Tensor),
    /// Row pairs become `gelu(even) * odd`.
    Geglu,
}

/// `x W^T` with checked shapes.
#[derive(Debug, Clone, Copy)]
pub struct Product<'a> {
    x: &'a Tensor,
    w: &'a Weight,
    y: &'a Tensor,
    finish: Finish<'a>,
}

pub fn invalid(message: String) -> GpuError {
    GpuError::Validation { what: "operands of a matmul".into(), message }
}

/// Tokens from which tiles pay: `vector` would decode every weight twice.
const TILE_TOKENS: u32 = 9;
/// Invocations that fill a large GPU; more lanes a row than that only cost reductions.
const FILL: u32 = 1 << 18;
/// Workgroups from which the large tile keeps every core of a large GPU busy.
const LARGE_TILES: u32 = 200;

/// Sizes of `vector`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Vector {
    /// Lanes a team.
    team: u32,
    /// Rows a team.
    rows: u32,
    /// Tokens handled at once.
    cols: u32,
    workgroup: u32,
    /// Lanes of a team in one subgroup; 1 without subgroups.
    lanes: u32,
}

/// Sizes of `tile`: `bm` tokens x `bn` rows a workgroup, `tm` x `tn` an invocation, `bk` terms
/// at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tile {
    bm: u32,
    bn: u32,
    bk: u32,
    tm: u32,
    tn: u32,
}

/// 16 KiB of workgroup memory, 256 invocations.
const TILE: Tile = Tile { bm: 64, bn: 64, bk: 32, tm: 4, tn: 4 };
/// Also 16 KiB, but over 100 registers an invocation.
const TILE_LARGE: Tile = Tile { bm: 128, bn: 128, bk: 16, tm: 8, tn: 8 };

impl<'a> Product<'a> {
    pub fn new(x: &'a Operand, w: &'a Operand, y: &'a Operand, finish: Finish<'a>) -> Result<Self, GpuError> {
        let (x, w, y) = (x.tensor()?, w.weight()?, y.tensor()?);
        let values = if matches!(finish, Finish::Geglu) { w.rows / 2 } else { w.rows };
        let shapes = || format!("x [{}, {}], weight `{}` [{}, {}], y [{}, {}]", x.rows, x.cols, w.name, w.rows, w.cols, y.rows, y.cols);
        if x.cols != w.cols || !w.cols.is_multiple_of(32) || y.rows != x.rows || y.cols != values || x.rows == 0 || w.rows == 0 {
            return Err(invalid(shapes()));
        }
        if (x.stride | x.offset) % 4 != 0 || y.stride != y.cols || y.offset != 0 {
            return Err(invalid(format!("{}: x wants multiples of 4 for stride and offset, y none", shapes())));
        }
        if matches!(finish, Finish::Geglu) && (w.rows % 2 != 0 || w.chunks.iter().any(|c| (c.first_row | c.rows) % 2 != 0)) {
            return Err(invalid(format!("{}: chunks must hold whole pairs of rows", shapes())));
        }
        if let Finish::GeluMul(e) = finish
            && (e.rows != y.rows || e.cols != y.cols)
        {
            return Err(invalid(format!("{}, e [{}, {}]", shapes(), e.rows, e.cols)));
        }
        Ok(Product { x, w, y, finish })
    }

    /// Best first. Barriers make tiles slow on a CPU.
    pub fn variants(&self, caps: &Caps) -> Vec<&'static str> {
        let mut vector = vec!["vector"];
        if caps.subgroups.is_some() {
            vector.insert(0, "vector_subgroups");
        }
        let mut tile = Vec::new();
        if caps.invocations >= 256 && caps.workgroup_memory >= 16 << 10 {
            tile.push("tile");
        }
        // Workgroup memory stands for registers, of which no limit tells.
        if caps.invocations >= 256 && caps.workgroup_memory >= 32 << 10 {
            let tiles = self.x.rows.div_ceil(TILE_LARGE.bm) * self.w.rows.div_ceil(TILE_LARGE.bn);
            tile.insert(usize::from(tiles < LARGE_TILES), "tile_large");
        }
        if self.x.rows >= TILE_TOKENS && !caps.software { [tile, vector].concat() } else { [vector, tile].concat() }
    }

    pub fn record(&self, context: &mut Context, variant: &'static str) -> Result<(), GpuError> {
        match variant {
            "tile" => self.tile(context, TILE),
            "tile_large" => self.tile(context, TILE_LARGE),
            "vector" => self.vector(context, None),
            _ => self.vector(context, context.caps.subgroups.map(|s| s.0)),
        }
    }

    fn vector(&self, context: &mut Context, subgroup: Option<u32>) -> Result<(), GpuError> {
        let shape = self.vector_shape(subgroup, context.caps);
        let counts = [("ROWS", shape.rows), ("COLS", shape.cols)];
        let text = unroll(include_str!("vector.wgsl"), &counts)?;
        let mut link = Link::new("matmul/vector", &text, context.caps);
        link.flag("subgroups", subgroup.is_some()).flag("split", shape.lanes < shape.team);
        link.constant("TEAM", shape.team).constant("LANES", shape.lanes).constant("WG", shape.workgroup);
        link.constant("ROWS", shape.rows).constant("COLS", shape.cols);
        let kernel = self.kernel(&mut link)?;
        let rows_per_group = shape.workgroup / shape.team * shape.rows;
        for chunk in &self.w.chunks {
            let [gx, gy, _] = spread(chunk.rows.div_ceil(rows_per_group), context.caps.max_groups);
            self.dispatch(context, &kernel, chunk, [gx, gy, self.x.rows.div_ceil(shape.cols)]);
        }
        Ok(())
    }

    fn vector_shape(&self, subgroup: Option<u32>, caps: &Caps) -> Vector {
        let cols = match self.x.rows {
            1 => 1,
            2 => 2,
            3 | 4 => 4,
            _ => 8,
        };
        let pairs = matches!(self.finish, Finish::Geglu);
        let rows = if pairs || (cols == 1 && self.w.rows >= FILL / 16) { 2 } else { 1 };
        let team = team(self.w.cols / 32, self.w.rows.div_ceil(rows));
        let lanes = subgroup.map_or(1, |size| size.min(team));
        Vector { team, rows, cols, workgroup: 128.min(caps.invocations), lanes }
    }

    fn tile(&self, context: &mut Context, tile: Tile) -> Result<(), GpuError> {
        let Tile { bm, bn, bk, tm, tn } = tile;
        let (threads, quads) = (bm / tm * (bn / tn), bk / 4);
        let counts = [("TM", tm), ("HALF", tn / 2), ("X_LOADS", bm * quads / threads), ("W_LOADS", bn * quads / threads)];
        let text = unroll(include_str!("tile.wgsl"), &counts)?;
        let mut link = Link::new("matmul/tile", &text, context.caps);
        for (name, value) in [("BM", bm), ("BN", bn), ("BK", bk), ("TM", tm), ("TN", tn)] {
            link.constant(name, value);
        }
        let kernel = self.kernel(&mut link)?;
        for chunk in &self.w.chunks {
            self.dispatch(context, &kernel, chunk, [chunk.rows.div_ceil(bn), self.x.rows.div_ceil(bm), 1]);
        }
        Ok(())
    }

    fn kernel<'k>(&self, link: &mut Link<'k>) -> Result<Kernel, GpuError> {
        link.module("product", include_str!("product.wgsl")).module("weight", rullama_quant::wgsl(self.w.dtype));
        link.flag("geglu", matches!(self.finish, Finish::Geglu));
        link.flag("softcap", matches!(self.finish, Finish::Softcap(_)));
        link.flag("gelu_mul", matches!(self.finish, Finish::GeluMul(_)));
        link.kernel()
    }

    fn dispatch(&self, context: &mut Context, kernel: &Kernel, chunk: &Chunk, groups: [u32; 3]) {
        let (x, y) = (self.x, self.y);
        let dispatch = context.recorder.dispatch(kernel, groups);
        for (name, start) in ["plane0", "plane1", "plane2", "plane3"].into_iter().zip(chunk.planes) {
            dispatch.param(name, start);
        }
        dispatch.param("rows", chunk.rows).param("first_row", chunk.first_row).param("groups", self.w.cols / 32);
        dispatch.param("tokens", x.rows).param("x_offset", x.offset / 4).param("x_stride", x.stride / 4).param("y_stride", y.stride);
        dispatch.bind("x", &x.slice).bind("weight", &chunk.slice).bind("y", &y.slice);
        let (mut e_offset, mut e_stride, mut cap) = (0, 0, 0.0);
        match self.finish {
            Finish::Softcap(value) => cap = value,
            Finish::GeluMul(e) => {
                (e_offset, e_stride) = (e.offset, e.stride);
                dispatch.bind("e", Slice::from(&e.slice));
            }
            Finish::None | Finish::Geglu => {}
        }
        dispatch.param("e_offset", e_offset).param("e_stride", e_stride).param("cap", cap);
    }
}

/// Lanes a team for rows of `groups` groups: as many as fill the GPU, leave at most a quarter
/// of them idle in the last round, and are no more than 64.
fn team(groups: u32, teams: u32) -> u32 {
    let balanced = |t: &u32| 4 * groups >= 3 * t * groups.div_ceil(*t);
    let fills = |t: &u32| *t <= 16 || teams.saturating_mul(*t) <= FILL;
    [64, 32, 16, 8].into_iter().find(|t| balanced(t) && fills(t)).unwrap_or(4)
}

#[cfg(test)]
mod tests {
    use super::team;

    #[test]
    fn teams_are_large_for_few_long_rows() {
        assert_eq!(team(192, 1536), 64);
        assert_eq!(team(48, 131_072), 16);
        assert_eq!(team(8, 1536), 8);
        assert_eq!(team(1, 64), 4);
    }
}
