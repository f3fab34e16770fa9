//! Which kernel serves a product, and its sizes.

use rullama_gpu::Caps;

/// Invocations that fill a large GPU; more lanes a row than that only cost reductions.
const FILL: u32 = 1 << 18;
/// Lanes that take a long row of one token's codes together, a workgroup a row: then most workgroups have loads under way.
const LONG: u32 = 128;

/// Tokens from which tiles pay: `vector` would decode every weight twice.
const TILE_TOKENS: u32 = 9;
/// Workgroups from which the large tile keeps every core of a large GPU busy.
const LARGE_TILES: u32 = 200;
/// Workgroups of a tile after which a large GPU has no idle core for long; those of codes are done sooner.
const WORKGROUPS: u32 = 768;
const WORKGROUPS_INT8: u32 = 1536;
/// Fewest groups of 32 terms worth a share of their own, and most shares.
const SHARE: u32 = 8;
const SHARES: u32 = 16;

/// What a kernel is chosen by: `tokens` rows of x, `rows` weight rows of `groups` groups of 32, in pairs or not, and whether tiles
/// can be formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dims {
    pub tokens: u32,
    pub rows: u32,
    pub groups: u32,
    pub pairs: bool,
    /// Whether sums become codes of 8 bits, which are formed of whole groups of 32 values.
    pub codes: bool,
    pub tiles: bool,
    /// Whether x and weight are multiplied in codes of 8 bits.
    pub int8: bool,
}

impl Dims {
    /// Best first. A CPU does one thing after another: tiles and shared rows cost it barriers and bring nothing.
    pub fn variants(&self, caps: &Caps) -> Vec<&'static str> {
        let subgroups = caps.subgroups.map(|_| "vector_subgroups");
        let vector: Vec<_> = subgroups.into_iter().chain(["vector"]).collect();
        let mut tile = Vec::new();
        if !self.tiles {
            return vector;
        }
        if self.small().problem(caps).is_none() {
            tile.push("tile");
        }
        let large = Tile::LARGE;
        // More workgroup memory than guaranteed stands for registers, of which no limit tells.
        if !self.int8 && large.problem(caps).is_none() && caps.workgroup_memory >= 32 << 10 {
            let fills = self.tokens > Tile::SMALL.bm && self.workgroups(large) * self.shares(large) >= LARGE_TILES;
            tile.insert(usize::from(!fills), "tile_large");
        }
        if self.tokens >= TILE_TOKENS && !caps.software { [tile, vector].concat() } else { [vector, tile].concat() }
    }

    /// Codes have no large tile: it was slower wherever it was tried.
    fn small(&self) -> Tile {
        if self.int8 { Tile::INT8 } else { Tile::SMALL }
    }

    /// Workgroups that form all sums.
    fn workgroups(&self, tile: Tile) -> u32 {
        self.tokens.div_ceil(tile.bm) * self.rows.div_ceil(tile.bn)
    }

    /// Among how many of them the terms of a row are shared.
    fn shares(&self, tile: Tile) -> u32 {
        let enough = if self.int8 { WORKGROUPS_INT8 } else { WORKGROUPS };
        let shares = (enough / self.workgroups(tile).max(1)).min(self.groups / SHARE).clamp(1, SHARES);
        self.groups.div_ceil(self.groups.div_ceil(shares))
    }

    fn tile(&self, tile: Tile) -> Sizes {
        match self.shares(tile) {
            // Long sums gain by fewer barriers.
            1 if tile == Tile::LARGE => Sizes::Tile { tile: Tile { bk: 32, ..tile }, shares: 1 },
            shares => Sizes::Tile { tile, shares },
        }
    }

    /// Bytes of the sums over shares of the terms, of `rows` rows at once.
    pub fn scratch(&self, sizes: Sizes, rows: u32) -> u64 {
        let Sizes::Tile { shares: shares @ 2.., .. } = sizes else { return 0 };
        u64::from(shares) * u64::from(self.tokens) * u64::from(rows) * 4
    }

    /// The sizes of a variant.
    pub fn sizes(&self, variant: &str, caps: &Caps) -> Sizes {
        match variant {
            "tile" => self.tile(self.small()),
            "tile_large" => self.tile(Tile::LARGE),
            _ => {
                let subgroups = variant == "vector_subgroups";
                Sizes::Vector { subgroups, sizes: Vector::choose(self, caps).in_groups(self, subgroups, caps) }
            }
        }
    }
}

/// Sizes of a kernel: chosen by the operation, or given by a benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    /// With subgroups if the adapter has them and `subgroups` is set.
    Vector {
        subgroups: bool,
        sizes: Vector,
    },
    /// Workgroups share the terms of a row by `shares`.
    Tile {
        tile: Tile,
        shares: u32,
    },
}

/// Sizes of `vector`. All are powers of two, save `unroll`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vector {
    /// Lanes a team.
    pub team: u32,
    /// Rows a team; at least 2 for row pairs.
    pub rows: u32,
    /// Tokens handled at once.
    pub cols: u32,
    /// Groups that a lane takes at once; a row's groups are a multiple of `team * unroll`, or this is 1, or both operands are codes.
    pub unroll: u32,
    /// Invocations of a workgroup, a multiple of `team`.
    pub workgroup: u32,
}

/// Sizes of `tile` or, with `int8`, of `tile_int8`: `bm` tokens x `bn` rows a workgroup, `tm` x `tn` an invocation, `bk` terms
/// (16 or 32; of codes 32 or 64) at a time; `tm` and `tn` are multiples of 4, `bm / tm` and `bn / tn` of 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    pub bm: u32,
    pub bn: u32,
    pub bk: u32,
    pub tm: u32,
    pub tn: u32,
    pub int8: bool,
}

impl Vector {
    pub fn choose(dims: &Dims, caps: &Caps) -> Self {
        let &Dims { tokens, rows, groups, pairs, .. } = dims;
        let cols = match tokens {
            1 => 1,
            2 => 2,
            3 | 4 => 4,
            _ => 8,
        };
        if caps.software {
            // Two rows share what is loaded of many tokens; more are slow to compile.
            let rows = if pairs || cols == 8 { 2 } else { 1 };
            return Vector { team: 1, rows, cols, unroll: 1, workgroup: 32 };
        }
        let long = dims.int8 && !pairs && cols == 1 && caps.subgroups.is_some() && caps.invocations >= LONG;
        if long && groups >= LONG && balanced(groups, LONG) {
            return Vector { team: LONG, rows: 1, cols, unroll: 1, workgroup: LONG };
        }
        let two = pairs || ((cols == 1 || dims.int8) && rows >= FILL / 16);
        let rows_a_team = if two { 2 } else { 1 };
        let team = team(groups, rows.div_ceil(rows_a_team));
        let most = match dims.int8 {
            // Codes take few registers, so that many teams are under way; few long rows want more of each.
            true if team >= 32 && cols <= 2 => (2 * FILL / (rows.div_ceil(rows_a_team) * team)).clamp(1, 4),
            true => 1,
            // More accumulators than this leave no registers for groups under way.
            false if cols * rows_a_team <= 2 => 4,
            false => 1,
        };
        let rounds = groups.div_ceil(team);
        let unroll = match dims.int8 {
            true => rounds.div_ceil(rounds.div_ceil(most)),
            false => (1..=most).rev().find(|u| groups.is_multiple_of(team * u)).unwrap_or(1),
        };
        let workgroup = if dims.int8 { 256 } else { 128 };
        Vector { team, rows: rows_a_team, cols, unroll, workgroup: workgroup.min(caps.invocations) }
    }

    /// Where values become codes, a workgroup makes whole groups of 32: by larger workgroups, so that a team has two values at most.
    fn in_groups(self, dims: &Dims, subgroups: bool, caps: &Caps) -> Self {
        if !dims.codes || caps.software {
            return self;
        }
        let team = self.team.min(caps.invocations / 16);
        let workgroup = self.workgroup.max(16 * team);
        let rows = 2 * (team * 32 / workgroup).max(1);
        // Of each token the parts' sums and the values go through workgroup memory, and what makes codes of quads.
        let lanes = caps.subgroups.filter(|_| subgroups).map_or(1, |size| lanes(size.0, team));
        let parts = if lanes < team { rows * workgroup / lanes } else { 0 };
        let most = (caps.workgroup_memory.saturating_sub(8 * workgroup) / 4 / (parts + workgroup / team * rows / 2)).max(1);
        let unroll = if team == self.team { self.unroll } else { 1 };
        Vector { team, rows, cols: self.cols.min(1 << most.ilog2()), unroll, workgroup }
    }

    /// Values of pairs that a workgroup makes.
    pub fn pairs(&self) -> u32 {
        self.workgroup / self.team * self.rows / 2
    }

    /// What does not fit a weight with this many groups a row, if anything.
    pub fn problem(&self, groups: u32, pairs: bool, int8: bool) -> Option<&'static str> {
        let powers = [self.team, self.rows, self.cols, self.workgroup].iter().all(|n| n.is_power_of_two());
        match self {
            _ if !powers || self.unroll == 0 => Some("sizes are powers of two, unroll is positive"),
            _ if self.workgroup < self.team => Some("a workgroup holds whole teams"),
            _ if pairs && self.rows < 2 => Some("row pairs want teams of 2 rows or more"),
            _ if !int8 && self.unroll > 1 && !groups.is_multiple_of(self.team * self.unroll) => Some("groups are a multiple of team * unroll"),
            _ => None,
        }
    }
}

impl Tile {
    /// 8 KiB of workgroup memory, 128 invocations.
    pub const SMALL: Tile = Tile { bm: 64, bn: 64, bk: 16, tm: 8, tn: 4, int8: false };
    /// 16 KiB, twice that with `bk` 32; 256 invocations of over 100 registers.
    pub const LARGE: Tile = Tile { bm: 128, bn: 128, bk: 16, tm: 8, tn: 8, int8: false };
    /// 14 KiB, 128 invocations.
    pub const INT8: Tile = Tile { bm: 64, bn: 64, bk: 64, tm: 8, tn: 4, int8: true };

    pub fn invocations(&self) -> u32 {
        self.bm / self.tm * (self.bn / self.tn)
    }

    /// Its kernels' constants.
    pub fn constants(&self) -> Vec<(&'static str, u32)> {
        let Tile { bm, bn, bk, tm, tn, int8 } = *self;
        // Each invocation loads quads of terms, or groups of codes.
        let together = if int8 { 32 } else { 4 };
        let loads = |block: u32| (block * bk / together).div_ceil(self.invocations());
        let blocks = [("BM", bm), ("BN", bn), ("BK", bk), ("TM", tm), ("TN", tn), ("M_QUADS", tm / 4), ("N_QUADS", tn / 4)];
        blocks.into_iter().chain([("QUADS", bk / 4), ("X_LOADS", loads(bm)), ("W_LOADS", loads(bn))]).collect()
    }

    /// Bytes of workgroup memory.
    pub fn memory(&self) -> u32 {
        match self.int8 {
            // A byte a term; beside each group of 32 a vec4 a token, and scales and offsets of both halves a row.
            true => (self.bm + self.bn) * (self.bk + self.bk / 32 * 16),
            false => (self.bm + self.bn) * self.bk * 4,
        }
    }

    /// What does not fit together or this adapter, if anything.
    pub fn problem(&self, caps: &Caps) -> Option<&'static str> {
        let grid = |block: u32, thread: u32| thread >= 4 && thread.is_power_of_two() && block.is_multiple_of(8 * thread);
        let parts = |block: u32| self.int8 || (block * self.bk / 4).is_multiple_of(self.invocations());
        match self {
            _ if !self.int8 && !matches!(self.bk, 16 | 32) => Some("bk is 16 or 32"),
            _ if self.int8 && !matches!(self.bk, 32 | 64) => Some("bk of codes is 32 or 64"),
            _ if !grid(self.bm, self.tm) || !grid(self.bn, self.tn) => Some("a tile has multiples of 8 invocations each way"),
            _ if !parts(self.bm) => Some("invocations load equal parts of x"),
            _ if !parts(self.bn) => Some("invocations load equal parts of w"),
            _ if self.invocations() > caps.invocations => Some("too many invocations for the adapter"),
            _ if self.memory() > caps.workgroup_memory => Some("too much workgroup memory for the adapter"),
            _ => None,
        }
    }
}

/// Lanes of a team that add by shuffles, where subgroups have `size` or more.
pub(super) fn lanes(size: u32, team: u32) -> u32 {
    size.min(team).min(64)
}

/// Whether a team's lanes are idle for no more than a quarter of their rounds.
fn balanced(groups: u32, team: u32) -> bool {
    4 * groups >= 3 * team * groups.div_ceil(team)
}

/// Lanes a team for rows of `groups` groups: as many as fill the GPU and are [`balanced`], no more than 64.
fn team(groups: u32, teams: u32) -> u32 {
    let fills = |t: u32| t <= 16 || teams.saturating_mul(t) <= FILL;
    [64, 32, 16, 8].into_iter().find(|&t| balanced(groups, t) && fills(t)).unwrap_or(4)
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
