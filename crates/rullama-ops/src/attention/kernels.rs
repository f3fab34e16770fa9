//! How each kernel is shaped and recorded.

use super::{Attention, Parts};
use crate::codes;
use crate::op::{Context, head_workgroup};
use crate::shader::Link;
use rullama_gpu::{Caps, DispatchBuilder, GpuError, Slice};

/// Queries in a tile of the prefill kernel, and keys that it takes at a time.
const TILE: u32 = 32;

/// Fewest keys in a share of a tile's.
const LEAST_TILE_KEYS: u32 = 2 * TILE;

/// Most shares of a tile's keys.
const MAX_TILE_SPLITS: u32 = 8;

/// Invocations of the prefill kernel.
const PREFILL_WORKGROUP: u32 = 256;

/// Invocations of the decode kernels; a head of 512 values has as many quads.
const DECODE_WORKGROUP: u32 = 128;

/// Fewest keys in a share.
pub(super) const LEAST_KEYS: u32 = 16;

/// Most shares; `combine` has an invocation for each.
pub(super) const MAX_SPLITS: u32 = DECODE_WORKGROUP;

/// Quads of a head's output that a workgroup combines of the many shares of a few tokens: whole groups of codes.
const COMBINED_QUADS: u32 = 16;

/// Workgroups that fill a large GPU, when every share has keys.
const FILLING_WORKGROUPS: u32 = 256;

/// Lanes that take a key together.
const TEAM: u32 = 8;

/// The grid of a decode step: fixed when recorded, while the keys grow.
#[derive(Debug, Clone, Copy)]
struct Grid {
    /// Query heads in a workgroup: 1, 2 or 4.
    share: u32,
    /// Workgroups for the query heads of one head of keys.
    groups: u32,
    /// Workgroups that share the keys of a token.
    splits: u32,
}

/// How the keys of neighbouring tokens are shared out.
#[derive(Debug, Clone, Copy)]
struct Spans {
    /// Tokens of one workgroup.
    rows: u32,
    /// Fewest keys in a share.
    least: u32,
    splits: u32,
    /// Quads of a head's output that a workgroup of `combine` makes.
    columns: u32,
    /// Shares that an invocation of it adds up, at most.
    loads: u32,
}

impl Spans {
    /// For kernels that share nothing out.
    const fn whole(rows: u32) -> Spans {
        Spans { rows, least: 1, splits: 1, columns: 1, loads: 1 }
    }

    fn link<'l>(&self, link: &'l mut Link) -> &'l mut Link {
        link.module("span", rullama_quant::wgsl!("span.wgsl")).constant("ROWS", self.rows).constant("LEAST", self.least)
    }
}

impl Attention {
    /// Bytes of the partial results of `decode`.
    pub(super) fn decode_scratch(&self, tokens: u32, slots: u32) -> u64 {
        self.records(tokens, self.grid(tokens, slots).splits)
    }

    fn grid(&self, tokens: u32, slots: u32) -> Grid {
        let share = self.heads_together(tokens);
        let groups = self.shared_by().div_ceil(share);
        let keys = self.window.map_or(slots, |window| window.min(slots));
        let filling = (FILLING_WORKGROUPS / (self.kv_heads * groups * tokens)).clamp(8, MAX_SPLITS);
        Grid { share, groups, splits: keys.div_ceil(LEAST_KEYS).clamp(1, filling) }
    }

    /// Query heads that a workgroup takes together, reading their keys once. One head is done sooner; several pay where each by itself
    /// would ask for more workgroups than fill a large GPU. Without a window keys grow while the kernel stays: it takes the most.
    pub(super) fn heads_together(&self, tokens: u32) -> u32 {
        let most = match self.shared_by() {
            1 => 1,
            2 => 2,
            _ => 4,
        };
        let keys = self.window.map_or(u32::MAX, |window| window.div_ceil(LEAST_KEYS));
        let fit = |share: &u32| keys.saturating_mul(self.kv_heads * self.shared_by().div_ceil(*share) * tokens) <= FILLING_WORKGROUPS;
        [1, 2].into_iter().filter(|share| *share < most).find(fit).unwrap_or(most)
    }

    /// Shares that an invocation adds up, at most: as many as a cache of any length asks for, so that the kernel is the same for all.
    pub(super) fn loads(&self, tokens: u32) -> u32 {
        self.grid(tokens, u32::MAX).splits.div_ceil(DECODE_WORKGROUP / COMBINED_QUADS)
    }

    /// Shares of the keys of a tile of queries: more than one where tiles alone would leave a large GPU idle.
    pub(super) fn tile_splits(&self, tokens: u32, slots: u32) -> u32 {
        let keys = self.window.map_or(slots, |window| window.saturating_add(tokens).min(slots));
        (FILLING_WORKGROUPS / (self.heads * tokens.div_ceil(TILE))).min(keys / LEAST_TILE_KEYS).clamp(1, MAX_TILE_SPLITS)
    }

    /// Bytes of the partial results of so many shares.
    fn records(&self, tokens: u32, splits: u32) -> u64 {
        u64::from(tokens * self.heads) * u64::from(splits) * u64::from(self.head_dim / 4 + 1) * 16
    }

    /// Bytes of the partial results of `prefill`.
    pub(super) fn tile_scratch(&self, tokens: u32, slots: u32) -> u64 {
        self.records(tokens, self.tile_splits(tokens, slots))
    }

    /// All keys of a query in one workgroup.
    pub(super) fn record_whole(&self, context: &mut Context, parts: &Parts, variant: &str) -> Result<(), GpuError> {
        if variant == "naive" {
            return self.record_naive(context, parts);
        }
        let spans = Spans::whole(TILE);
        let kernel = self.prefill(context.caps, parts, &spans).kernel()?;
        let grid = [parts.q.rows.div_ceil(TILE), self.heads, 1];
        self.describe_whole(context.recorder.dispatch(&kernel, grid), parts, &spans, &parts.y.slice);
        Ok(())
    }

    /// The keys of a tile of queries in several workgroups, then their sum.
    pub(super) fn record_tiles(&self, context: &mut Context, parts: &Parts, subgroups: bool) -> Result<(), GpuError> {
        let (tokens, splits) = (parts.q.rows, self.tile_splits(parts.q.rows, parts.k.slots));
        let scratch = context.scratch(self.tile_scratch(tokens, parts.k.slots))?;
        // The whole of a head, as far as there are invocations for it: of many tokens there are workgroups enough.
        let columns = (self.head_dim / 4).next_power_of_two().min(DECODE_WORKGROUP);
        let loads = MAX_TILE_SPLITS.div_ceil(DECODE_WORKGROUP / columns);
        let spans = Spans { rows: TILE, least: LEAST_TILE_KEYS, splits, columns, loads };
        let kernel = self.prefill(context.caps, parts, &spans).flag("shared", true).kernel()?;
        let dispatch = context.recorder.dispatch(&kernel, [tokens.div_ceil(TILE), self.heads, splits]);
        self.describe_whole(dispatch, parts, &spans, &scratch);
        self.combine(context, parts, &scratch, &spans, subgroups)
    }

    fn record_naive(&self, context: &mut Context, parts: &Parts) -> Result<(), GpuError> {
        let spans = Spans::whole(1);
        let mut link = self.whole("attention/naive", rullama_quant::wgsl!("naive.wgsl"), context.caps, parts, &spans);
        let kernel = link.constant("WG", head_workgroup(self.head_dim)).kernel()?;
        self.describe_whole(context.recorder.dispatch(&kernel, [self.heads, parts.q.rows, 1]), parts, &spans, &parts.y.slice);
        Ok(())
    }

    fn prefill(&self, caps: &Caps, parts: &Parts, spans: &Spans) -> Link {
        // Fours of queries in a tile, shared by as many groups of invocations as fit.
        let groups = (1 << (PREFILL_WORKGROUP / (self.head_dim / 4)).ilog2()).min(TILE / 4);
        let mut link = self.whole("attention/prefill", rullama_quant::wgsl!("prefill.wgsl"), caps, parts, spans);
        link.flag("eight_queries", groups <= TILE / 8).flag("sixteen_queries", groups <= TILE / 16).constant("GROUPS", groups);
        link
    }

    /// The shares, then their sum.
    pub(super) fn record_decode(&self, context: &mut Context, parts: &Parts, subgroups: bool) -> Result<(), GpuError> {
        let (tokens, slots) = (parts.q.rows, parts.k.slots);
        let Grid { share, groups, splits } = self.grid(tokens, slots);
        let scratch = context.scratch(self.decode_scratch(tokens, slots))?;
        let team = context.caps.subgroups.map_or(TEAM, |sizes| sizes.0.min(TEAM));
        let (team, runs) = (if subgroups { team } else { TEAM }, self.head_dim / 8);
        let spans = Spans { rows: 1, least: LEAST_KEYS, splits, columns: COMBINED_QUADS, loads: self.loads(tokens) };
        let mut link = self.link("attention/decode", rullama_quant::wgsl!("decode.wgsl"), context.caps, parts);
        let kernel = spans
            .link(&mut link)
            .flag("runs", true)
            .flag("subgroups", subgroups)
            .flag("eight_lanes", team == 8)
            .flag("two", share >= 2)
            .flag("four", share == 4)
            .constant("WG", DECODE_WORKGROUP)
            .constant("TEAM", team)
            .constant("SHARE", share)
            .constant("KEY_LOADS", runs.div_ceil(team))
            .constant("VALUE_LOADS", (DECODE_WORKGROUP / team).div_ceil(DECODE_WORKGROUP / runs))
            .constant("QUERY_LOADS", (share * self.head_dim / 4).div_ceil(DECODE_WORKGROUP))
            .kernel()?;
        let dispatch = context.recorder.dispatch(&kernel, [splits, self.kv_heads * groups, tokens]);
        self.describe(dispatch, parts);
        dispatch.param("groups", groups).param("splits", splits).param("width", parts.k.width / 8).bind("parts", &scratch);

        self.combine(context, parts, &scratch, &spans, subgroups)
    }

    /// The sum of the shares.
    fn combine(&self, context: &mut Context, parts: &Parts, scratch: &Slice, spans: &Spans, subgroups: bool) -> Result<(), GpuError> {
        let mut link = Link::new("attention/combine", rullama_quant::wgsl!("combine.wgsl"), context.caps);
        codes::link_made(&mut link, self.codes, subgroups, context.caps);
        let kernel = spans
            .link(&mut link)
            .flag("subgroups", subgroups)
            .constant("WG", DECODE_WORKGROUP)
            .constant("QUADS", self.head_dim / 4)
            .constant("COLUMNS", spans.columns)
            .constant("LOADS", spans.loads)
            .kernel()?;
        let grid = [self.heads, (self.head_dim / 4).div_ceil(spans.columns), parts.q.rows];
        let dispatch = context.recorder.dispatch(&kernel, grid);
        dispatch
            .param("heads", self.heads)
            .param("splits", spans.splits)
            .param("window", self.window.unwrap_or_default())
            .param("y_offset", parts.y.offset / 4);
        dispatch.bind("parts", scratch).bind("state", parts.state);
        codes::bind_made(dispatch, parts.y, self.codes);
        Ok(())
    }

    /// What the kernels over a cache link alike.
    fn link(&self, name: &str, text: &'static str, caps: &Caps, parts: &Parts) -> Link {
        let mut link = Link::new(name, text, caps);
        link.module("cached", parts.k.kv.cached()).flag(parts.k.kv.name(), true).flag("blocks", self.blocks).constant("QUADS", self.head_dim / 4);
        link
    }

    /// What the kernels with whole queries link alike.
    fn whole(&self, name: &str, text: &'static str, caps: &Caps, parts: &Parts, spans: &Spans) -> Link {
        let mut link = self.link(name, text, caps, parts);
        spans.link(&mut link).module("whole", rullama_quant::wgsl!("whole.wgsl"));
        link
    }

    /// What the kernels with whole queries are given; results or shares of them go to `y`.
    fn describe_whole(&self, dispatch: &mut DispatchBuilder, parts: &Parts, spans: &Spans, y: &Slice) {
        self.describe(dispatch, parts);
        dispatch.param("rows", parts.q.rows).param("width", parts.k.width / 4);
        dispatch.param("y_offset", parts.y.offset / 4).param("splits", spans.splits).bind("y", y);
        if let Some(ends) = parts.ends {
            dispatch.bind("ends", ends);
        }
    }

    /// What all of them are given.
    fn describe(&self, dispatch: &mut DispatchBuilder, parts: &Parts) {
        dispatch.param("heads", self.heads).param("shared_by", self.shared_by());
        dispatch.param("slots", parts.k.slots).param("window", self.window.unwrap_or_default());
        dispatch.param("q_stride", parts.q.stride / 4).param("q_offset", parts.q.offset / 4);
        dispatch.bind("q", &parts.q.slice).bind("k", &parts.k.slice).bind("v", &parts.v.slice).bind("state", parts.state);
    }
}
