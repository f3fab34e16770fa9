//! How each kernel is shaped and recorded.

use super::SelfAttention;
use crate::op::{Context, Operand, Tensor, head_workgroup, spread};
use crate::rotate::check_starts;
use crate::shader::Link;
use rullama_gpu::{Caps, DispatchBuilder, GpuError, Slice};

/// Invocations of the kernel that adds up parts.
const FOLD_WORKGROUP: u32 = 64;

/// Rows in a tile, and columns.
const TILE: u32 = 32;

/// Invocations of the kernels of tiles.
const TILE_WORKGROUP: u32 = 256;

/// Workgroups that fill a large GPU.
const FILLING_WORKGROUPS: u32 = 512;

/// Tiles for GPUs; a CPU pays for every barrier.
pub(crate) fn variants(caps: &Caps) -> Vec<&'static str> {
    if caps.software { vec!["naive", "tile"] } else { vec!["tile", "naive"] }
}

/// Links a kernel over heads of `head_dim` values; `seen` says which keys a query sees, and where queries, keys and values stand.
fn link(name: &str, text: &'static str, seen: &'static str, head_dim: u32, caps: &Caps) -> Link {
    // Fours of rows in a tile, shared by as many groups of invocations as fit.
    let groups = (1 << (TILE_WORKGROUP / (head_dim / 4)).ilog2()).min(TILE / 4);
    let mut link = Link::new(name, text, caps);
    link.module("seen", seen).module("tile", rullama_quant::wgsl!("tile.wgsl"));
    link.flag("eight_rows", groups <= TILE / 8).flag("sixteen_rows", groups <= TILE / 16);
    link.constant("QUADS", head_dim / 4).constant("GROUPS", groups).constant("WG", head_workgroup(head_dim));
    link
}

/// Dispatches the kernels of `y = softmax(q K^T) V` by another rule of what is `seen`, without the logs of the sums; what the rule
/// is told besides is the caller's to give.
pub(crate) fn record<'c>(
    context: &'c mut Context,
    (name, seen): (&str, &'static str),
    [heads, head_dim]: [u32; 2],
    [q, k, v, y]: [&Tensor; 4],
    naive: bool,
) -> Result<&'c mut DispatchBuilder, GpuError> {
    let text = if naive { rullama_quant::wgsl!("naive.wgsl") } else { rullama_quant::wgsl!("forward.wgsl") };
    let kernel = link(name, text, seen, head_dim, context.caps).kernel()?;
    let groups = if naive { [heads, q.rows, 1] } else { [q.rows.div_ceil(TILE), heads, 1] };
    let dispatch = context.recorder.dispatch(&kernel, groups);
    dispatch.param("heads", heads).param("rows", q.rows);
    for (of, [stride, offset]) in [(q, ["q_stride", "q_offset"]), (k, ["k_stride", "k_offset"]), (v, ["v_stride", "v_offset"])] {
        dispatch.param(stride, of.stride / 4).param(offset, of.offset / 4);
    }
    Ok(dispatch.bind("q", &q.slice).bind("k", &k.slice).bind("v", &v.slice).bind("y", &y.slice))
}

/// What all kernels read.
pub(super) struct Parts<'a> {
    q: &'a Tensor,
    k: &'a Tensor,
    v: &'a Tensor,
    starts: &'a Slice,
}

/// What gradients are made from besides.
pub(super) struct Given<'a> {
    pub dy: &'a Tensor,
    pub lse: &'a Tensor,
    pub delta: &'a Tensor,
}

/// What a kernel of gradients makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Query,
    Keys,
    Values,
}

impl<'a> Parts<'a> {
    pub fn new(op: &str, [q, k, v, starts]: [&'a Operand; 4]) -> Result<Self, GpuError> {
        let parts = Parts { q: q.tensor()?, k: k.tensor()?, v: v.tensor()?, starts: starts.words()? };
        check_starts(op, parts.starts, parts.q.rows)?;
        Ok(parts)
    }
}

impl SelfAttention {
    pub(super) fn record_forward(&self, context: &mut Context, parts: &Parts, [y, lse]: [&Tensor; 2], naive: bool) -> Result<(), GpuError> {
        let (name, text) = if naive { ("naive", rullama_quant::wgsl!("naive.wgsl")) } else { ("forward", rullama_quant::wgsl!("forward.wgsl")) };
        let kernel = self.link(name, text, context.caps).flag("values", true).flag("sums", true).kernel()?;
        let rows = parts.q.rows;
        let groups = if naive { [self.heads, rows, 1] } else { [rows.div_ceil(TILE), self.heads, 1] };
        let dispatch = context.recorder.dispatch(&kernel, groups);
        self.describe(dispatch, parts);
        dispatch.param("v_stride", parts.v.stride / 4).param("v_offset", parts.v.offset / 4).bind("v", &parts.v.slice);
        dispatch.bind("y", &y.slice).bind("lse", &lse.slice);
        Ok(())
    }

    /// One gradient; `heads` of it are made side by side, each from `heads of queries / heads` of them.
    fn record_back(
        &self,
        context: &mut Context,
        (parts, given): (&Parts, &Given),
        of: Of,
        (heads, out): (u32, &Slice),
        naive: bool,
    ) -> Result<(), GpuError> {
        let (name, text) = if naive { ("naive_back", rullama_quant::wgsl!("naive_back.wgsl")) } else { ("back", rullama_quant::wgsl!("back.wgsl")) };
        let kernel = self
            .link(name, text, context.caps)
            .flag("backward", true)
            .flag("by_key", of != Of::Query)
            .flag("values", of != Of::Values)
            .kernel()?;
        let rows = parts.q.rows;
        let groups = if naive { [heads, rows, 1] } else { [rows.div_ceil(TILE), heads, 1] };
        let dispatch = context.recorder.dispatch(&kernel, groups);
        self.describe(dispatch, parts);
        dispatch.param("each", self.heads / heads).param("dy_stride", given.dy.stride / 4).param("dy_offset", given.dy.offset / 4);
        dispatch.param("lse_stride", given.lse.stride).param("lse_offset", given.lse.offset);
        dispatch.bind("dy", &given.dy.slice).bind("lse", &given.lse.slice).bind("out", out);
        if of != Of::Values {
            dispatch.param("v_stride", parts.v.stride / 4).param("v_offset", parts.v.offset / 4);
            dispatch.param("delta_stride", given.delta.stride).param("delta_offset", given.delta.offset);
            dispatch.bind("v", &parts.v.slice).bind("delta", &given.delta.slice);
        }
        Ok(())
    }

    pub(super) fn record_back_query(
        &self,
        context: &mut Context,
        of: (&Parts, &Given),
        dq: &Tensor,
        naive: bool,
    ) -> Result<(), GpuError> {
        self.record_back(context, of, Of::Query, (self.heads, &dq.slice), naive)
    }

    /// Gradients of keys and values: of parts of the query heads that share them, then the parts' sum.
    pub(super) fn record_back_keys(
        &self,
        context: &mut Context,
        of: (&Parts, &Given),
        made: [&Tensor; 2],
        naive: bool,
    ) -> Result<(), GpuError> {
        let rows = of.0.q.rows;
        let parts = if naive { 1 } else { self.key_parts(rows, context.caps) };
        for (what, out) in [(Of::Keys, made[0]), (Of::Values, made[1])] {
            if parts == 1 {
                self.record_back(context, of, what, (self.kv_heads, &out.slice), naive)?;
                continue;
            }
            let scratch = context.scratch(self.part_bytes(rows, parts))?;
            self.record_back(context, of, what, (self.kv_heads * parts, &scratch), naive)?;
            let kernel = Link::new("self_attention/fold", rullama_quant::wgsl!("fold.wgsl"), context.caps).constant("WG", FOLD_WORKGROUP).kernel()?;
            let count = rows * self.kv_heads * self.head_dim / 4;
            let dispatch = context.recorder.dispatch(&kernel, spread(count.div_ceil(FOLD_WORKGROUP), context.caps.max_groups));
            dispatch.param("count", count).param("quads", self.head_dim / 4).param("parts", parts);
            dispatch.bind("parts", &scratch).bind("out", &out.slice);
        }
        Ok(())
    }

    /// Bytes of the parts of the gradients of keys.
    pub(super) fn key_scratch(&self, rows: u32, caps: &Caps) -> u64 {
        let parts = self.key_parts(rows, caps);
        if parts == 1 { 0 } else { self.part_bytes(rows, parts) }
    }

    fn part_bytes(&self, rows: u32, parts: u32) -> u64 {
        u64::from(rows) * u64::from(self.kv_heads * parts) * u64::from(self.head_dim) * 4
    }

    /// Into how many parts the query heads of a head of keys are cut, so that a GPU is filled and a binding holds them.
    fn key_parts(&self, rows: u32, caps: &Caps) -> u32 {
        let groups = rows.div_ceil(TILE) * self.kv_heads;
        let possible = (1..=self.shared_by()).filter(|parts| {
            self.shared_by().is_multiple_of(*parts) && (*parts == 1 || self.part_bytes(rows, *parts) <= caps.max_binding)
        });
        let mut chosen = 1;
        for parts in possible {
            if groups * chosen < FILLING_WORKGROUPS {
                chosen = parts;
            }
        }
        chosen
    }

    /// What the kernels link alike.
    fn link(&self, name: &str, text: &'static str, caps: &Caps) -> Link {
        link(&format!("self_attention/{name}"), text, rullama_quant::wgsl!("seen.wgsl"), self.head_dim, caps)
    }

    /// What all of them are given.
    fn describe(&self, dispatch: &mut DispatchBuilder, parts: &Parts) {
        let rows = parts.q.rows;
        dispatch.param("heads", self.heads).param("shared_by", self.shared_by()).param("rows", rows);
        // One that holds every token is none.
        dispatch.param("window", self.window.filter(|window| *window < rows).unwrap_or_default());
        dispatch.param("q_stride", parts.q.stride / 4).param("q_offset", parts.q.offset / 4);
        dispatch.param("k_stride", parts.k.stride / 4).param("k_offset", parts.k.offset / 4);
        dispatch.bind("q", &parts.q.slice).bind("k", &parts.k.slice).bind("starts", parts.starts);
    }
}
