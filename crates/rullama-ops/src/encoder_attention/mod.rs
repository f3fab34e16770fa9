//! Attention of the tokens of packed texts to each other, both ways.

use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, misfit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use};
use crate::rotate::{are_starts, check_starts};
use crate::self_attention::{MAX_HEAD_DIM, kernels};
use crate::tolerance::EPSILON;
use rullama_gpu::{Caps, GpuError};
use std::ops::Range;

#[cfg(feature = "cases")]
pub mod cases;

/// `y = softmax(scale q K^T) V` per token and head, over the keys and values of the step itself.
///
/// Operands: `q: [tokens, heads * head_dim]`, `k` and `v: [tokens, kv_heads * head_dim]`, words `starts: [tokens]` and
/// `ends: [tokens]`, out `y: [tokens, heads * head_dim]`. Query head h reads key head `h / (heads / kv_heads)`.
///
/// The step is a packed row of texts: token t sees the tokens `starts[t] .. ends[t]` of its own, before and behind it, and with a
/// radius those with `|t - j| <= radius`. Where `starts[t] > t` the row is padding: it sees nothing, no other token sees it, and it
/// becomes zeros. Source: Vaswani et al. 2017; Dao et al. 2022 (tiles); Beltagy et al. 2020 (symmetric windows).
#[derive(Debug, Clone)]
pub struct EncoderAttention {
    pub heads: u32,
    pub kv_heads: u32,
    /// A multiple of 32, at most 512.
    pub head_dim: u32,
    pub radius: Option<u32>,
    pub scale: f32,
}

/// Words that tell a step's texts: for each token the index of its text's first token, and the one behind its last.
#[derive(Debug, Clone, Copy)]
pub struct TextWords {
    pub starts: Value,
    pub ends: Value,
}

impl Graph {
    /// Attention of `q: [tokens, heads * head_dim]` over keys and values `[tokens, kv_heads * head_dim]` of the same texts.
    pub fn encoder_attention(&mut self, op: EncoderAttention, q: Value, [k, v]: [Value; 2], texts: TextWords) -> Value {
        self.one(op, &[q, k, v, texts.starts, texts.ends])
    }
}

impl EncoderAttention {
    fn shared_by(&self) -> u32 {
        self.heads / self.kv_heads
    }

    fn check_heads(&self) -> Result<(), String> {
        let (heads, kv_heads, n) = (self.heads, self.kv_heads, self.head_dim);
        if n == 0 || !n.is_multiple_of(32) || n > MAX_HEAD_DIM {
            return Err(format!("head_dim {n} is not a multiple of 32 up to {MAX_HEAD_DIM}"));
        }
        if heads == 0 || kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(format!("{heads} heads do not share {kv_heads} heads of keys evenly"));
        }
        Ok(())
    }

    /// Tokens that token t sees; none where it is padding.
    fn seen(&self, [starts, ends]: [&[u32]; 2], t: usize) -> Range<usize> {
        let (start, end) = (starts[t] as usize, ends[t] as usize);
        let radius = self.radius.map_or(usize::MAX, |radius| radius as usize);
        if start > t { 0..0 } else { start.max(t.saturating_sub(radius))..end.min(t.saturating_add(radius).saturating_add(1)) }
    }
}

impl Op for EncoderAttention {
    fn name(&self) -> &'static str {
        "encoder_attention"
    }

    fn uses(&self) -> Vec<Use> {
        [[Use::Read; 5].as_slice(), &[Use::Write]].concat()
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        self.check_heads()?;
        let [q, k, v, starts, ends] = take(inputs)?;
        let (queries, keys) = (Type::f32(q.rows, self.heads * self.head_dim), Type::f32(q.rows, self.kv_heads * self.head_dim));
        let fits = q == queries && k == keys && v == keys && q.number == Number::F32 && [starts, ends].iter().all(|of| are_starts(of, q.rows));
        if fits {
            return Ok(vec![q]);
        }
        let shown = misfit(&[("q", &q), ("k", &k), ("v", &v), ("starts", &starts), ("ends", &ends)]);
        Err(format!("{shown} for {} heads of {}, {} of keys", self.heads, self.head_dim, self.kv_heads))
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        kernels::variants(caps)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let naive = context.variant(self, operands)? == "naive";
        let [q, k, v, y] = [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?, operands[5].tensor()?];
        let (starts, ends) = (operands[3].words()?, operands[4].words()?);
        check_starts(self.name(), starts, q.rows)?;
        check_starts(self.name(), ends, q.rows)?;
        let seen = (self.name(), rullama_quant::wgsl!("seen.wgsl"));
        let dispatch = kernels::record(context, seen, [self.heads, self.head_dim], [q, k, v, y], naive)?;
        dispatch.param("shared_by", self.shared_by()).param("radius", self.radius.unwrap_or(u32::MAX)).param("scale", self.scale);
        dispatch.bind("starts", starts).bind("ends", ends);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [q, k, v, starts, ends, y] = operands else { panic!("encoder_attention takes 6 operands") };
        let (q, k, v, texts, y) = (q.tensor(), k.tensor(), v.tensor(), [&starts.words()[..], &ends.words()[..]], y.tensor_mut());
        let n = self.head_dim as usize;
        y.data.fill(0.0);
        for t in 0..q.rows {
            let keys = self.seen(texts, t);
            for head in 0..self.heads as usize {
                let shared = head / self.shared_by() as usize;
                let of = |array: &Array, row: usize, head: usize, i: usize| f64::from(array.row(row)[head * n + i]);
                let score = |j: usize| f64::from(self.scale) * (0..n).map(|i| of(q, t, head, i) * of(k, j, shared, i)).sum::<f64>();
                let scores: Vec<f64> = keys.clone().map(score).collect();
                let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|s| (s - best).exp()).collect();
                let sum: f64 = weights.iter().sum();
                for i in 0..n {
                    let value = keys.clone().zip(&weights).map(|(j, weight)| weight / sum * of(v, j, shared, i)).sum::<f64>();
                    y.row_mut(t)[head * n + i] = value as f32;
                }
            }
        }
    }

    fn work(&self, inputs: &[Type], _: u32) -> u64 {
        let tokens = inputs[0].rows;
        let keys = self.radius.map_or(tokens, |radius| radius.saturating_mul(2).saturating_add(1).min(tokens));
        2 * u64::from(tokens) * u64::from(keys) * u64::from(inputs[0].cols)
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        format!("{}/{} heads of {}, radius {}", self.heads, self.kv_heads, self.head_dim, self.radius.is_some())
    }

    fn smoke(&self, _: &[Type]) -> Case {
        let op = EncoderAttention { radius: self.radius.map(|radius| radius.min(5)), ..self.clone() };
        op.case(&[13, 24], 3)
    }
}

impl EncoderAttention {
    /// A case of texts of these lengths and padding, with scores of a few units so that several keys count.
    fn case(self, lengths: &[u32], padding: usize) -> Case {
        let (mut starts, mut ends) = (Vec::new(), Vec::new());
        for &length in lengths {
            let first = starts.len() as u32;
            starts.extend((0..length).map(|_| first));
            ends.extend((0..length).map(|_| first + length));
        }
        starts.extend(vec![u32::MAX; padding]);
        ends.extend(vec![0; padding]);
        let (tokens, n) = (starts.len(), self.head_dim as usize);
        let (width, kv_width) = (self.heads as usize * n, self.kv_heads as usize * n);
        let mut rng = Rng::new((tokens * width) as u64 + 41);
        let q = rng.tensor_scaled(tokens, width, 6.0 / (n as f32).sqrt() / self.scale);
        let mut operands = vec![q.into(), rng.tensor(tokens, kv_width).into(), rng.tensor(tokens, kv_width).into()];
        operands.extend([Host::Words(starts), Host::Words(ends), Array::zeros(tokens, width).into()]);
        // A score of up to 10 is off by some 10 roundings of its sum, and so is its weight.
        let tolerance = 64.0 * EPSILON * ((n + tokens) as f32).sqrt();
        let name = format!("{}/{} heads of {n}, texts {lengths:?}, {padding} padding, radius {:?}", self.heads, self.kv_heads, self.radius);
        Case::new(name, self, operands, n).tolerance(tolerance)
    }
}
