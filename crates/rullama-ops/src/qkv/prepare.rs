//! All of it in one dispatch: queries, keys and values normed, rotated and stored.

use super::oracle::store;
use super::rope::ROPE_LOW;
use super::single::{HeadNorm, HeadRope, smoke_tables};
use super::{WORKGROUP, are_rotation, fits_kernels, invalid, is_heads, workgroup};
use crate::case::{Case, Rng};
use crate::graph::{Number, Type, fit, take};
use crate::host::{Array, Host};
use crate::op::{Cache, Context, Op, Operand, StepState, Tensor, Use, state};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

/// Per token t and head: `q = rope(RMS(q_raw) q_norm)`; `k = rope(RMS(k_raw) k_norm)` into the
/// key cache; `v = RMS(v_raw)`, without a weight, into the value cache.
///
/// Operands: `q_raw: [tokens, heads * head_dim]`, `k_raw: [tokens, kv_heads * head_dim]`,
/// `v_raw` (like `k_raw`, and may be it), `q_norm: [1, head_dim]`, `k_norm: [1, head_dim]`,
/// `rope_low: [256, head_dim]`, `rope_high: [n, head_dim]` (see [`rope_tables`](super::rope_tables)), the step
/// state, out `q: [tokens, heads * head_dim]`, and the caches `k` and `v`.
///
/// Token t stands at position `state[POSITION] + t`. Tokens from `state[TOKENS]` on leave the
/// caches alone and give zeros in `q`. Rotation pairs i with i + head_dim/2 (NeoX).
/// A fusion of [`HeadRope`] for queries and keys, [`HeadNorm`] for values and a [`Store`](super::Store) of each.
/// Source: Su et al. 2021; HF `Gemma4TextAttention`.
#[derive(Debug, Clone)]
pub struct QkvPrepare {
    pub heads: u32,
    pub kv_heads: u32,
    /// A multiple of 32, at most 512.
    pub head_dim: u32,
    pub eps: f32,
}

/// Storage bindings of the kernel that makes all three at once.
const JOINED_BINDINGS: u32 = 11;

/// What the query half of the kernel works on.
pub(super) struct Query<'a> {
    pub raw: &'a Tensor,
    pub norm: &'a Tensor,
    pub out: &'a Tensor,
    pub heads: u32,
}

/// What the key and value half works on.
pub(super) struct KeyValue<'a> {
    k_raw: &'a Tensor,
    k_norm: &'a Tensor,
    v_raw: &'a Tensor,
    k: &'a Cache,
    v: &'a Cache,
    kv_heads: u32,
}

/// What both share.
pub(super) struct Common<'a> {
    pub low: &'a Tensor,
    pub high: &'a Tensor,
    pub state: &'a rullama_gpu::Slice,
    pub head_dim: u32,
    pub eps: f32,
    pub subgroups: bool,
}

impl Common<'_> {
    pub fn check(&self, op: &str) -> Result<(), GpuError> {
        let n = self.head_dim;
        if !fits_kernels(n) {
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
    pub fn record(&self, context: &mut Context, query: Option<Query>, kv: Option<KeyValue>) -> Result<(), GpuError> {
        let mut link = Link::new("qkv/prepare", rullama_quant::wgsl!("prepare.wgsl"), context.caps);
        link.flag("subgroups", self.subgroups).flag("query", query.is_some()).flag("keyvalue", kv.is_some());
        if let Some(kv) = &kv {
            link.flag(kv.k.kv.name(), true).module("stored", kv.k.kv.stored());
        }
        link.constant("WG", workgroup(self.head_dim, context.caps)).constant("POSITION", state::POSITION).constant("TOKENS", state::TOKENS);
        let kernel = link.kernel()?;
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
    pub fn check(&self, op: &str, head_dim: u32) -> Result<(), GpuError> {
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

    fn uses(&self) -> Vec<Use> {
        [[Use::Read; 8].as_slice(), &[Use::Write], &[Use::Update; 2]].concat()
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [q, k, v, q_norm, k_norm, low, high, state, k_cache, v_cache] = take(inputs)?;
        let heads = is_heads(&q, self.heads, self.head_dim) && is_heads(&k, self.kv_heads, self.head_dim) && v == k && k.rows == q.rows;
        let tables = [&q_norm, &k_norm].iter().all(|norm| are_rotation([norm, &low, &high, &state], self.head_dim));
        let caches = k_cache == v_cache && k_cache.cols == k.cols && matches!(k_cache.number, Number::Kv(_));
        fit(heads && tables && caches, &[("q", &q), ("k", &k), ("v", &v), ("q_norm", &q_norm), ("k_norm", &k_norm), ("cache", &k_cache)])?;
        Ok(vec![q])
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

    /// The composition of its parts.
    fn oracle(&self, operands: &mut [Host]) {
        let [q_raw, k_raw, v_raw, q_norm, k_norm, low, high, state, q, k, v] = operands else { panic!("qkv_prepare takes 11 operands") };
        let rope = |heads: u32| HeadRope { heads, head_dim: self.head_dim, eps: self.eps };
        let mut queries = [q_raw.clone(), q_norm.clone(), low.clone(), high.clone(), state.clone(), q.clone()];
        rope(self.heads).oracle(&mut queries);
        let mut keys = [k_raw.clone(), k_norm.clone(), low.clone(), high.clone(), state.clone(), k_raw.clone()];
        rope(self.kv_heads).oracle(&mut keys);
        let mut values = [v_raw.clone(), v_raw.clone()];
        HeadNorm { heads: self.kv_heads, head_dim: self.head_dim, eps: self.eps }.oracle(&mut values);
        *q = queries[5].clone();
        store(k.cache_mut(), keys[5].tensor(), state.words());
        store(v.cache_mut(), values[1].tensor(), state.words());
    }

    fn kernels(&self, inputs: &[Type], caps: &Caps) -> String {
        format!("{:?} {}", inputs[8].number, workgroup(self.head_dim, caps))
    }

    fn smoke(&self, inputs: &[Type]) -> Case {
        let Number::Kv(kv) = inputs[8].number else { panic!("qkv_prepare writes caches") };
        let (n, tokens, slots) = (self.head_dim as usize, 5, 64);
        let (width, kv_width) = (self.heads as usize * n, self.kv_heads as usize * n);
        let mut rng = Rng::new(u64::from(self.kv_heads * self.head_dim));
        let [low, high] = smoke_tables(n);
        let mut tensor = |rows: usize, cols: usize| Host::from(rng.tensor(rows, cols));
        let mut operands = vec![tensor(tokens, width), tensor(tokens, kv_width), tensor(tokens, kv_width), tensor(1, n), tensor(1, n)];
        operands.extend([low, high, state_of(40, 4), Array::zeros(tokens, width).into()]);
        operands.extend((0..2).map(|_| Host::Cache(rng.cache(kv, slots, kv_width))));
        Case::new(format!("{}/{} heads of {n}", self.heads, self.kv_heads), self.clone(), operands, n)
    }
}

/// Words of a step's state.
pub(super) fn state_of(position: u32, tokens: u32) -> Host {
    let state = StepState { position, tokens, ..Default::default() };
    Host::Words(bytemuck::cast_slice(&[state]).to_vec())
}
