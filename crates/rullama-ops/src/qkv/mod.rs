//! Queries, keys and values between projection and attention: norm per head, rotary embedding,
//! and the way into the caches.

mod rope;

use crate::host::{Array, Host, HostCache, root_mean_square};
use crate::op::{Cache, Context, KvType, Op, Operand, Tensor, state};
use crate::shader::Link;
use rullama_gpu::{Access, Caps, GpuError};

pub use rope::{ROPE_LOW, rope_tables};

#[cfg(feature = "cases")]
pub mod cases;

/// Per token t and head: `q = rope(RMS(q_raw) q_norm)`; `k = rope(RMS(k_raw) k_norm)` into the
/// key cache; `v = RMS(v_raw)`, without a weight, into the value cache.
///
/// Operands: `q_raw: [tokens, heads * head_dim]`, `k_raw: [tokens, kv_heads * head_dim]`,
/// `v_raw` (like `k_raw`, and may be it), `q_norm: [1, head_dim]`, `k_norm: [1, head_dim]`,
/// `rope_low: [256, head_dim]`, `rope_high: [n, head_dim]` (see [`rope_tables`]), the step
/// state, out `q: [tokens, heads * head_dim]`, and the caches `k` and `v`.
///
/// Token t stands at position `state[POSITION] + t`. Tokens from `state[TOKENS]` on leave the
/// caches alone and give zeros in `q`. Rotation pairs i with i + head_dim/2 (NeoX).
/// Source: Su et al. 2021; HF `Gemma4TextAttention`.
#[derive(Debug, Clone)]
pub struct QkvPrepare {
    pub heads: u32,
    pub kv_heads: u32,
    /// A multiple of 32, at most 512.
    pub head_dim: u32,
    pub eps: f32,
}

/// `q = rope(RMS(q_raw) q_norm)` alone, for layers that use the caches of another.
///
/// Operands: `q_raw`, `q_norm`, `rope_low`, `rope_high`, the step state, out `q`, as in
/// [`QkvPrepare`].
#[derive(Debug, Clone)]
pub struct QueryPrepare {
    pub heads: u32,
    /// A multiple of 32, at most 512.
    pub head_dim: u32,
    pub eps: f32,
}

/// An invocation takes eight values of a head: 512 at most.
const WORKGROUP: u32 = 64;

/// Storage bindings of the kernel that makes all three at once.
const JOINED_BINDINGS: u32 = 11;

/// What the query half of the kernel works on.
struct Query<'a> {
    raw: &'a Tensor,
    norm: &'a Tensor,
    out: &'a Tensor,
    heads: u32,
}

/// What the key and value half works on.
struct KeyValue<'a> {
    k_raw: &'a Tensor,
    k_norm: &'a Tensor,
    v_raw: &'a Tensor,
    k: &'a Cache,
    v: &'a Cache,
    kv_heads: u32,
}

/// What both share.
struct Common<'a> {
    low: &'a Tensor,
    high: &'a Tensor,
    state: &'a rullama_gpu::Slice,
    head_dim: u32,
    eps: f32,
    subgroups: bool,
}

fn invalid(op: &str, message: String) -> GpuError {
    GpuError::Validation { what: format!("operands of `{op}`"), message }
}

impl Common<'_> {
    fn check(&self, op: &str) -> Result<(), GpuError> {
        let n = self.head_dim;
        if !n.is_multiple_of(32) || n == 0 || n > 8 * WORKGROUP {
            return Err(invalid(op, format!("head_dim {n} is not a multiple of 32 up to {}", 8 * WORKGROUP)));
        }
        if self.low.cols != n || self.high.cols != n || self.low.rows != ROPE_LOW {
            let (low, high) = (self.low, self.high);
            return Err(invalid(
                op,
                format!("rope tables [{}, {}] and [{}, {}] for head_dim {n}", low.rows, low.cols, high.rows, high.cols),
            ));
        }
        Ok(())
    }

    /// One dispatch for whichever halves are given.
    fn record(&self, context: &mut Context, query: Option<Query>, kv: Option<KeyValue>) -> Result<(), GpuError> {
        let f16 = kv.as_ref().is_some_and(|kv| kv.k.kv == KvType::F16);
        let kernel = Link::new("qkv/prepare", include_str!("prepare.wgsl"), context.caps)
            .flag("subgroups", self.subgroups)
            .flag("query", query.is_some())
            .flag("keyvalue", kv.is_some())
            .flag("f16", f16)
            .constant("WG", WORKGROUP)
            .kernel()?;
        let heads = query.as_ref().map_or(0, |q| q.heads) + kv.as_ref().map_or(0, |kv| 2 * kv.kv_heads);
        let tokens = query.as_ref().map(|q| q.raw.rows).or(kv.as_ref().map(|kv| kv.k_raw.rows)).unwrap_or_default();
        let dispatch = context.recorder.dispatch(&kernel, [heads, tokens, 1]);
        dispatch.param("half", self.head_dim / 8).param("eps", self.eps);
        dispatch.param("low_stride", self.low.stride / 4).param("low_offset", self.low.offset / 4);
        dispatch.param("high_stride", self.high.stride / 4).param("high_offset", self.high.offset / 4);
        dispatch.bind("rope_low", &self.low.slice).bind("rope_high", &self.high.slice).bind("state", self.state);
        if let Some(Query { raw, norm, out, heads }) = query {
            dispatch.param("heads", heads).param("q_stride", raw.stride / 4).param("q_offset", raw.offset / 4);
            dispatch.param("q_norm_offset", norm.offset / 4).param("q_out", out.offset / 4);
            dispatch.bind("q_raw", &raw.slice).bind("q_norm", &norm.slice).bind("q", &out.slice);
        }
        if let Some(KeyValue { k_raw, k_norm, v_raw, k, v, kv_heads }) = kv {
            dispatch.param("kv_heads", kv_heads).param("slots", k.slots);
            dispatch.param("k_stride", k_raw.stride / 4).param("k_offset", k_raw.offset / 4).param("k_norm_offset", k_norm.offset / 4);
            dispatch.param("v_stride", v_raw.stride / 4).param("v_offset", v_raw.offset / 4);
            dispatch.bind("k_raw", &k_raw.slice).bind("k_norm", &k_norm.slice).bind("v_raw", &v_raw.slice);
            dispatch.bind("k", &k.slice).bind("v", &v.slice);
        }
        Ok(())
    }
}

impl Query<'_> {
    fn check(&self, op: &str, head_dim: u32) -> Result<(), GpuError> {
        let width = self.heads * head_dim;
        if self.raw.cols != width || self.out.cols != width || self.norm.cols != head_dim || self.out.rows != self.raw.rows {
            let shapes = [self.raw, self.norm, self.out].map(|t| [t.rows, t.cols]);
            return Err(invalid(op, format!("q_raw, q_norm, q are {shapes:?} for {} heads of {head_dim}", self.heads)));
        }
        Ok(())
    }
}

impl KeyValue<'_> {
    fn check(&self, op: &str, head_dim: u32, tokens: u32) -> Result<(), GpuError> {
        let width = self.kv_heads * head_dim;
        let raw = |t: &Tensor| t.cols == width && t.rows == tokens;
        if !raw(self.k_raw) || !raw(self.v_raw) || self.k_norm.cols != head_dim {
            let shapes = [self.k_raw, self.v_raw, self.k_norm].map(|t| [t.rows, t.cols]);
            return Err(invalid(
                op,
                format!("k_raw, v_raw, k_norm are {shapes:?} for {tokens} tokens, {} heads of {head_dim}", self.kv_heads),
            ));
        }
        let cache = |c: &Cache| c.width == width && c.slots == self.k.slots && c.kv == self.k.kv && c.slots >= tokens;
        if !cache(self.k) || !cache(self.v) {
            let shapes = [self.k, self.v].map(|c| (c.slots, c.width, c.kv));
            return Err(invalid(op, format!("caches are {shapes:?} for {tokens} tokens of width {width}")));
        }
        Ok(())
    }
}

impl Op for QkvPrepare {
    fn name(&self) -> &'static str {
        "qkv_prepare"
    }

    fn access(&self) -> Vec<Access> {
        [[Access::Read; 8].as_slice(), &[Access::ReadWrite; 3]].concat()
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        let (joined, subgroups) = (caps.storage_buffers >= JOINED_BINDINGS, caps.subgroups.is_some());
        let all = [("joined_subgroups", joined && subgroups), ("joined", joined), ("subgroups", subgroups), ("plain", true)];
        all.into_iter().filter(|v| v.1).map(|v| v.0).collect()
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let variant = context.variant(self, operands)?;
        let [q_raw, k_raw, v_raw, q_norm] = [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?, operands[3].tensor()?];
        let [k_norm, low, high] = [operands[4].tensor()?, operands[5].tensor()?, operands[6].tensor()?];
        let (state, out, k, v) = (operands[7].words()?, operands[8].tensor()?, operands[9].cache()?, operands[10].cache()?);
        let common = Common { low, high, state, head_dim: self.head_dim, eps: self.eps, subgroups: variant.ends_with("subgroups") };
        let query = Query { raw: q_raw, norm: q_norm, out, heads: self.heads };
        let kv = KeyValue { k_raw, k_norm, v_raw, k, v, kv_heads: self.kv_heads };
        common.check(self.name())?;
        query.check(self.name(), self.head_dim)?;
        kv.check(self.name(), self.head_dim, q_raw.rows)?;
        if variant.starts_with("joined") {
            return common.record(context, Some(query), Some(kv));
        }
        common.record(context, Some(query), None)?;
        common.record(context, None, Some(kv))
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [q_raw, k_raw, v_raw, q_norm, k_norm, low, high, state, q, k, v] = operands else { panic!("qkv_prepare takes 11 operands") };
        let norm = HeadNorm { head_dim: self.head_dim as usize, eps: self.eps, low: low.tensor(), high: high.tensor() };
        norm.queries(q_raw.tensor(), q_norm.tensor(), state.words(), q.tensor_mut());
        let (position, tokens) = step(state.words());
        for t in 0..tokens.min(k_raw.tensor().rows) {
            let key = norm.row(k_raw.tensor().row(t), Some(k_norm.tensor()), Some(position + t));
            let value = norm.row(v_raw.tensor().row(t), None, None);
            store(k.cache_mut(), position + t, &key);
            store(v.cache_mut(), position + t, &value);
        }
    }
}

impl Op for QueryPrepare {
    fn name(&self) -> &'static str {
        "query_prepare"
    }

    fn access(&self) -> Vec<Access> {
        [[Access::Read; 5].as_slice(), &[Access::ReadWrite]].concat()
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        crate::op::reducing_variants(caps)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let subgroups = context.variant(self, operands)? == "subgroups";
        let [raw, norm, low, high] = [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?, operands[3].tensor()?];
        let common = Common { low, high, state: operands[4].words()?, head_dim: self.head_dim, eps: self.eps, subgroups };
        let query = Query { raw, norm, out: operands[5].tensor()?, heads: self.heads };
        common.check(self.name())?;
        query.check(self.name(), self.head_dim)?;
        common.record(context, Some(query), None)
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [raw, q_norm, low, high, state, q] = operands else { panic!("query_prepare takes 6 operands") };
        let norm = HeadNorm { head_dim: self.head_dim as usize, eps: self.eps, low: low.tensor(), high: high.tensor() };
        norm.queries(raw.tensor(), q_norm.tensor(), state.words(), q.tensor_mut());
    }
}

/// Position and real tokens of a step.
pub(crate) fn step(words: &[u32]) -> (usize, usize) {
    (words[state::POSITION as usize] as usize, words[state::TOKENS as usize] as usize)
}

fn store(cache: &mut HostCache, position: usize, row: &[f64]) {
    let kv = cache.kv;
    cache.slot_mut(position).iter_mut().zip(row).for_each(|(to, &x)| *to = HostCache::round(kv, x as f32));
}

/// The oracle's norm and rotation of the heads in a row.
struct HeadNorm<'a> {
    head_dim: usize,
    eps: f32,
    low: &'a Array,
    high: &'a Array,
}

impl HeadNorm<'_> {
    fn queries(&self, raw: &Array, norm: &Array, state: &[u32], out: &mut Array) {
        let (position, tokens) = step(state);
        for t in 0..raw.rows {
            let row = if t < tokens { self.row(raw.row(t), Some(norm), Some(position + t)) } else { vec![0.0; raw.cols] };
            out.row_mut(t).iter_mut().zip(row).for_each(|(to, x)| *to = x as f32);
        }
    }

    fn row(&self, raw: &[f32], weight: Option<&Array>, position: Option<usize>) -> Vec<f64> {
        let mut out = Vec::with_capacity(raw.len());
        for head in raw.chunks_exact(self.head_dim) {
            let scale = 1.0 / root_mean_square(head, self.eps);
            let weight = |i: usize| weight.map_or(1.0, |w| f64::from(w.data[i]));
            let x: Vec<f64> = head.iter().enumerate().map(|(i, &x)| f64::from(x) * scale * weight(i)).collect();
            match position {
                Some(position) => out.extend(self.rotate(&x, position)),
                None => out.extend(x),
            }
        }
        out
    }

    /// Pair i turned by the sum of the two angles that the tables hold for `position`.
    fn rotate(&self, x: &[f64], position: usize) -> Vec<f64> {
        let half = self.head_dim / 2;
        let angle = |table: &Array, row: usize, i: usize| f64::from(table.row(row)[half + i]).atan2(f64::from(table.row(row)[i]));
        let mut y = vec![0.0; x.len()];
        for i in 0..half {
            let rows = (position % ROPE_LOW as usize, position / ROPE_LOW as usize);
            let (sin, cos) = (angle(self.low, rows.0, i) + angle(self.high, rows.1, i)).sin_cos();
            y[i] = x[i] * cos - x[half + i] * sin;
            y[half + i] = x[half + i] * cos + x[i] * sin;
        }
        y
    }
}
