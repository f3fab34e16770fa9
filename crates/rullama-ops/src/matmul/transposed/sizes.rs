//! Which kernel serves a transposed product, and its sizes.

use crate::matmul::sizes::Tile;
use rullama_gpu::Caps;

/// Tokens from which tiles pay.
const TILE_TOKENS: u32 = 9;
/// Workgroups of a tile that keep a large GPU busy.
const FILL: u32 = 768;
/// Invocations of `columns` that do.
const FILL_COLUMNS: u32 = 1 << 16;
/// Fewest rows worth a share of its own, and most shares.
const SHARE: u32 = 256;
const SHARES: u32 = 32;

/// What a kernel is chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dims {
    pub tokens: u32,
    pub rows: u32,
    pub cols: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// `bm` tokens x `bn` columns a workgroup, `bk` rows at a time.
    Tile(Tile),
    /// `cols` tokens x `quads` quads of columns an invocation.
    Columns { cols: u32, quads: u32 },
}

/// A kernel, and among how many workgroups the rows are shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    pub kernel: Kernel,
    pub shares: u32,
}

impl Dims {
    /// Best first. A CPU does one thing after another: barriers bring it nothing.
    pub fn variants(&self, caps: &Caps) -> Vec<&'static str> {
        let mut tile = Vec::new();
        if Tile::SMALL.problem(caps).is_none() {
            tile.push("tile");
        }
        // More workgroup memory than guaranteed stands for registers, of which no limit tells.
        if Tile::LARGE.problem(caps).is_none() && caps.workgroup_memory >= 32 << 10 {
            let fills = self.tokens > Tile::SMALL.bm && self.tiles(Tile::LARGE) * self.shares(self.tiles(Tile::LARGE), FILL) >= FILL / 4;
            tile.insert(usize::from(!fills), "tile_large");
        }
        if self.tokens >= TILE_TOKENS && !caps.software { [tile, vec!["columns"]].concat() } else { [vec!["columns"], tile].concat() }
    }

    fn tiles(&self, tile: Tile) -> u32 {
        self.tokens.div_ceil(tile.bm) * self.cols.div_ceil(tile.bn)
    }

    /// Shares of the rows, so that `units` times these make `fill`.
    fn shares(&self, units: u32, fill: u32) -> u32 {
        (fill / units.max(1)).min(self.rows / SHARE).clamp(1, SHARES)
    }

    /// Bytes of the sums over shares.
    pub fn scratch(&self, sizes: &Sizes) -> u64 {
        let shares = if sizes.shares > 1 { u64::from(sizes.shares) } else { 0 };
        shares * u64::from(self.tokens) * u64::from(self.cols) * 4
    }

    /// The sizes of a variant.
    pub fn sizes(&self, variant: &str, caps: &Caps) -> Sizes {
        let tile = |tile: Tile| Sizes { kernel: Kernel::Tile(tile), shares: self.shares(self.tiles(tile), FILL) };
        match variant {
            "tile" => tile(Tile::SMALL),
            "tile_large" => tile(Tile::LARGE),
            _ if caps.software => Sizes { kernel: Kernel::Columns { cols: self.tokens.next_power_of_two().min(4), quads: 8 }, shares: 1 },
            _ => {
                let cols = self.tokens.next_power_of_two().min(8);
                let units = self.cols / 4 * self.tokens.div_ceil(cols);
                Sizes { kernel: Kernel::Columns { cols, quads: 1 }, shares: self.shares(units, FILL_COLUMNS) }
            }
        }
    }
}
