//! The parts one by one: heads normed and rotated, heads normed, rows stored.

use super::oracle::{Rotation, normed, step, store};
use super::prepare::{Common, Query, state_of};
use super::rope::rope_tables;
use super::{are_rotation, invalid, is_heads, workgroup};
use crate::backward::Backward;
use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use, reducing_variants, spread, state};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

/// `y = rope(RMS(x) weight)` for each head of each token.
///
/// Operands: `x: [tokens, heads * head_dim]`, `weight: [1, head_dim]`, `rope_low: [256, head_dim]`, `rope_high: [n, head_dim]`
/// (see [`rope_tables`]), the step state, out `y: [tokens, heads * head_dim]`.
///
/// Token t stands at position `state[POSITION] + t`; rows from `state[TOKENS]` on become zeros. Rotation pairs i with
/// i + head_dim/2 (NeoX). Source: Su et al. 2021; HF `Gemma4TextAttention`.
#[derive(Debug, Clone)]
pub struct HeadRope {
    pub heads: u32,
    /// A multiple of 32, at most 512.
    pub head_dim: u32,
    pub eps: f32,
}

/// `y = RMS(x)` for each head of each token, without a weight: what values get.
///
/// Operands: `x: [tokens, heads * head_dim]`, out `y: [tokens, heads * head_dim]`.
#[derive(Debug, Clone)]
pub struct HeadNorm {
    pub heads: u32,
    pub head_dim: u32,
    pub eps: f32,
}

/// `cache[(POSITION + t) % slots] = x_t` for the step's real tokens, rounded to what the cache keeps.
///
/// Operands: `x: [tokens, width]`, the step state, the cache.
#[derive(Debug, Clone)]
pub struct Store;

impl Graph {
    /// Heads of `x: [tokens, heads * head_dim]` normed with the table `weight: [1, head_dim]` and rotated.
    pub fn head_rope(&mut self, op: HeadRope, x: Value, weight: &str, rope: [Value; 2], state: Value) -> Value {
        let weight = self.vector(weight, op.head_dim);
        self.one(op, &[x, weight, rope[0], rope[1], state])
    }

    /// Heads of `x: [tokens, heads * head_dim]` normed.
    pub fn head_norm(&mut self, op: HeadNorm, x: Value) -> Value {
        self.one(op, &[x])
    }

    /// The cache with the rows of `x: [tokens, width]` in the slots of the step's positions.
    pub fn store(&mut self, x: Value, state: Value, cache: Value) -> Value {
        self.one(Store, &[x, state, cache])
    }
}

impl Op for HeadRope {
    fn name(&self) -> &'static str {
        "head_rope"
    }

    fn uses(&self) -> Vec<Use> {
        [[Use::Read; 5].as_slice(), &[Use::Write]].concat()
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, weight, low, high, state] = take(inputs)?;
        let fits = is_heads(&x, self.heads, self.head_dim) && are_rotation([&weight, &low, &high, &state], self.head_dim);
        fit(fits, &[("x", &x), ("weight", &weight), ("rope_low", &low), ("rope_high", &high), ("state", &state)])?;
        Ok(vec![x])
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        reducing_variants(caps)
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
        let [x, weight, low, high, state, y] = operands else { panic!("head_rope takes 6 operands") };
        let (x, weight, y) = (x.tensor(), weight.tensor(), y.tensor_mut());
        let (position, tokens) = step(state.words());
        let rotation = Rotation { head_dim: self.head_dim as usize, low: low.tensor(), high: high.tensor() };
        for t in 0..x.rows {
            let scaled = normed(x.row(t), self.head_dim as usize, self.eps).into_iter().zip(weight.data.iter().cycle());
            let scaled: Vec<f64> = scaled.map(|(x, w)| x * f64::from(*w)).collect();
            let turned = if t < tokens { rotation.rotate(&scaled, position + t) } else { vec![0.0; x.cols] };
            y.row_mut(t).iter_mut().zip(turned).for_each(|(to, x)| *to = x as f32);
        }
    }

    fn kernels(&self, _: &[Type], caps: &Caps) -> String {
        workgroup(self.head_dim, caps).to_string()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        let mut rng = Rng::new(u64::from(self.heads * self.head_dim));
        let (n, tokens) = (self.head_dim as usize, 5);
        let width = self.heads as usize * n;
        let [low, high] = smoke_tables(n);
        let operands =
            vec![rng.tensor(tokens, width).into(), rng.tensor(1, n).into(), low, high, state_of(40, 4), Array::zeros(tokens, width).into()];
        Case::new(format!("{} heads of {n}", self.heads), self.clone(), operands, n)
    }
}

/// Tables of 256 positions.
pub(super) fn smoke_tables(head_dim: usize) -> [Host; 2] {
    let frequencies: Vec<f64> = (0..head_dim / 2).map(|i| 1e4f64.powf(-2.0 * i as f64 / head_dim as f64)).collect();
    let (low, high) = rope_tables(&frequencies, 256);
    [low, high].map(|data| Array { rows: data.len() / head_dim, cols: head_dim, data }.into())
}

impl Op for HeadNorm {
    fn name(&self) -> &'static str {
        "head_norm"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x] = take(inputs)?;
        fit(is_heads(&x, self.heads, self.head_dim), &[("x", &x)])?;
        Ok(vec![x])
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        reducing_variants(caps)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let subgroups = context.variant(self, operands)? == "subgroups";
        let [x, y] = [operands[0].tensor()?, operands[1].tensor()?];
        let kernel = Link::new("qkv/head_norm", rullama_quant::wgsl!("head_norm.wgsl"), context.caps)
            .flag("subgroups", subgroups)
            .constant("WG", workgroup(self.head_dim, context.caps))
            .kernel()?;
        let dispatch = context.recorder.dispatch(&kernel, [self.heads, x.rows, 1]);
        dispatch.param("quads", self.head_dim / 4).param("heads", self.heads).param("eps", self.eps);
        dispatch.param("stride", x.stride / 4).param("offset", x.offset / 4).bind("x", &x.slice).bind("y", &y.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, y] = operands else { panic!("head_norm takes 2 operands") };
        let (x, y) = (x.tensor(), y.tensor_mut());
        for t in 0..x.rows {
            let row = normed(x.row(t), self.head_dim as usize, self.eps);
            y.row_mut(t).iter_mut().zip(row).for_each(|(to, x)| *to = x as f32);
        }
    }

    fn backward(&self, back: &mut Backward) -> Result<(), String> {
        let (x, Some(g)) = (back.operand(0), back.gradient(1)) else { return Ok(()) };
        back.add_to(0, |graph, sum| graph.rms_norm_back(x, None, g, sum, self.head_dim, self.eps));
        Ok(())
    }

    fn kernels(&self, _: &[Type], caps: &Caps) -> String {
        workgroup(self.head_dim, caps).to_string()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        let width = (self.heads * self.head_dim) as usize;
        let operands = vec![Rng::new(8).tensor(3, width).into(), Array::zeros(3, width).into()];
        Case::new(format!("{} heads of {}", self.heads, self.head_dim), self.clone(), operands, self.head_dim as usize)
    }
}

impl Op for Store {
    fn name(&self) -> &'static str {
        "store"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Update]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, state, cache] = take(inputs)?;
        let whole = matches!(cache.number, Number::Kv(kv) if x.cols.is_multiple_of(kv.block()));
        let fits = whole && x == Type::f32(x.rows, cache.cols) && state.number == Number::Words;
        fit(fits, &[("x", &x), ("state", &state), ("cache", &cache)])?;
        Ok(Vec::new())
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let (x, words, cache) = (operands[0].tensor()?, operands[1].words()?, operands[2].cache()?);
        if x.cols != cache.width || cache.slots < x.rows {
            let message = format!("x [{}, {}] into {} slots of width {}", x.rows, x.cols, cache.slots, cache.width);
            return Err(invalid(self.name(), message));
        }
        let unit = cache.kv.block() / 4;
        let kernel = Link::new("qkv/store", rullama_quant::wgsl!("store.wgsl"), context.caps)
            .module("stored", cache.kv.stored())
            .flag(cache.kv.name(), true)
            .constant("UNIT", unit)
            .constant("WG", super::WORKGROUP)
            .constant("POSITION", state::POSITION)
            .constant("TOKENS", state::TOKENS)
            .kernel()?;
        let groups = spread((x.rows * x.cols / 4 / unit).div_ceil(super::WORKGROUP), context.caps.max_groups);
        let dispatch = context.recorder.dispatch(&kernel, groups);
        dispatch.param("rows", x.rows).param("width", x.cols / 4).param("slots", cache.slots);
        dispatch.param("stride", x.stride / 4).param("offset", x.offset / 4);
        dispatch.bind("x", &x.slice).bind("state", words).bind("cache", &cache.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, state, cache] = operands else { panic!("store takes 3 operands") };
        store(cache.cache_mut(), x.tensor(), state.words());
    }

    fn kernels(&self, inputs: &[Type], _: &Caps) -> String {
        format!("{:?}", inputs[2].number)
    }

    fn smoke(&self, inputs: &[Type]) -> Case {
        let Number::Kv(kv) = inputs[2].number else { panic!("store writes a cache") };
        let mut rng = Rng::new(9);
        let operands = vec![rng.tensor(5, 64).into(), state_of(30, 4), Host::Cache(rng.cache(kv, 32, 64))];
        Case::new(format!("{kv:?}"), Store, operands, 1)
    }
}
