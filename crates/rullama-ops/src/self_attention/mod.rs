//! Attention of the tokens of a packed row to each other, and its gradients.

mod backward;
pub(crate) mod kernels;
mod oracle;

pub use backward::{SelfAttentionBackKeys, SelfAttentionBackQuery, SelfAttentionDelta};

use crate::backward::Backward;
use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, misfit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use};
use crate::rotate::are_starts;
use kernels::Parts;
use rullama_gpu::{Caps, GpuError};

#[cfg(feature = "cases")]
pub mod cases;

/// `y = softmax(q K^T) V` per token and head, over the keys and values of the step itself, with scores unscaled (Gemma 4
/// normalises queries and keys instead) and no softcap; `lse` is the log of each softmax's sum of exponentials.
///
/// Operands: `q: [tokens, heads * head_dim]`, `k` and `v: [tokens, kv_heads * head_dim]`, words `starts: [tokens]`, outs
/// `y: [tokens, heads * head_dim]`, `lse: [tokens, heads]`. Query head h reads key head `h / (heads / kv_heads)`.
///
/// The step is a packed row of examples: token t sees the tokens `starts[t] ..= t` and, with a window, `t - j < window` of them.
/// Where `starts[t] > t` the row is padding: it sees nothing, no other token sees it, and it becomes zeros.
/// Source: Vaswani et al. 2017; Dao et al. 2022 (tiles, and the sums that gradients are made from).
#[derive(Debug, Clone)]
pub struct SelfAttention {
    pub heads: u32,
    pub kv_heads: u32,
    /// A multiple of 32, at most 512.
    pub head_dim: u32,
    pub window: Option<u32>,
}

impl Graph {
    /// Attention of `q: [tokens, heads * head_dim]` over the keys and values `[tokens, kv_heads * head_dim]` of the same tokens; gives
    /// `y: [tokens, heads * head_dim]` and `lse: [tokens, heads]`, which the gradients are made from.
    pub fn self_attention(&mut self, op: SelfAttention, q: Value, [k, v]: [Value; 2], starts: Value) -> [Value; 2] {
        let made = self.add(op, &[q, k, v, starts]);
        [made[0], made[1]]
    }
}

/// Longest head.
pub(crate) const MAX_HEAD_DIM: u32 = 512;

/// Tokens of a smoke case: more than a tile.
const SMOKE_TOKENS: usize = 40;

impl SelfAttention {
    /// Query heads that use one head of keys.
    fn shared_by(&self) -> u32 {
        self.heads / self.kv_heads
    }

    /// Whether the heads are ones that the kernels take.
    fn check_heads(&self) -> Result<(), String> {
        let (heads, kv_heads, n) = (self.heads, self.kv_heads, self.head_dim);
        if n == 0 || !n.is_multiple_of(32) || n > MAX_HEAD_DIM {
            return Err(format!("head_dim {n} is not a multiple of 32 up to {MAX_HEAD_DIM}"));
        }
        if heads == 0 || kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(format!("{heads} heads do not share {kv_heads} heads of keys evenly"));
        }
        if self.window == Some(0) {
            return Err("a window of 0 tokens".into());
        }
        Ok(())
    }

    /// Types of what queries, keys and sums have for `tokens`.
    fn types(&self, tokens: u32) -> [Type; 3] {
        [Type::f32(tokens, self.heads * self.head_dim), Type::f32(tokens, self.kv_heads * self.head_dim), Type::f32(tokens, self.heads)]
    }

    /// Checks named operands against `wanted` types, `starts` against the tokens.
    fn check(&self, named: &[(&str, &Type, Type)], starts: &Type) -> Result<(), String> {
        self.check_heads()?;
        let tokens = named[0].1.rows;
        let fits = named.iter().all(|(_, of, wanted)| *of == wanted && of.number == Number::F32) && are_starts(starts, tokens);
        if fits {
            return Ok(());
        }
        let mut shown: Vec<(&str, &Type)> = named.iter().map(|(name, of, _)| (*name, *of)).collect();
        shown.push(("starts", starts));
        let (heads, kv_heads, n) = (self.heads, self.kv_heads, self.head_dim);
        Err(format!("{} for {heads} heads of {n}, {kv_heads} of keys", misfit(&shown)))
    }

    /// Multiplications of `products` matrices of scores: about half of them are seen.
    fn products(&self, tokens: u32, products: u64) -> u64 {
        let keys = self.window.map_or(tokens, |window| window.saturating_mul(2).min(tokens));
        products * u64::from(tokens) * u64::from(self.heads * self.head_dim) * u64::from(keys).div_ceil(2)
    }

    /// What tells the kernels from those of others.
    fn key(&self) -> String {
        format!("{}/{} heads of {}", self.heads, self.kv_heads, self.head_dim)
    }

    /// A small step of two examples and padding with these heads: q, k, v, starts.
    fn smoke_operands(&self) -> (SelfAttention, Vec<Host>) {
        let starts: Vec<u32> = (0..SMOKE_TOKENS as u32).map(|t| if t < 13 { 0 } else { 13 }).collect();
        let padded = [&starts[..SMOKE_TOKENS - 3], &[u32::MAX; 3]].concat();
        let op = SelfAttention { window: self.window.map(|window| window.min(9)), ..self.clone() };
        let operands = op.operands(&padded);
        (op, operands)
    }

    /// Random q, k, v of a step with these starts, whose scores are of a few units so that several keys count.
    fn operands(&self, starts: &[u32]) -> Vec<Host> {
        let (tokens, n) = (starts.len(), self.head_dim as usize);
        let mut rng = Rng::new(u64::from(self.heads * 131 + self.head_dim * 17) + tokens as u64);
        let (width, kv_width) = (self.heads as usize * n, self.kv_heads as usize * n);
        let q = rng.tensor_scaled(tokens, width, 6.0 / (n as f32).sqrt());
        vec![q.into(), rng.tensor(tokens, kv_width).into(), rng.tensor(tokens, kv_width).into(), Host::Words(starts.to_vec())]
    }

    /// A case of the forward step.
    fn case(&self, operands: Vec<Host>, name: &str) -> Case {
        let (tokens, width) = (operands[0].tensor().rows, operands[0].tensor().cols);
        let mut operands = operands;
        operands.extend([Array::zeros(tokens, width).into(), Array::zeros(tokens, self.heads as usize).into()]);
        Case::new(format!("{}, {name}", self.described(tokens)), self.clone(), operands, self.head_dim as usize).tolerance(self.tolerance(tokens))
    }

    fn described(&self, tokens: usize) -> String {
        format!("{}, {tokens} tokens, window {:?}", self.key(), self.window)
    }

    /// A score of up to 10 is off by some 10 roundings of its sum, and so is its weight.
    fn tolerance(&self, tokens: usize) -> f32 {
        let keys = self.window.map_or(tokens, |window| tokens.min(window as usize));
        64.0 * crate::tolerance::EPSILON * ((self.head_dim as usize + keys) as f32).sqrt()
    }
}

impl Op for SelfAttention {
    fn name(&self) -> &'static str {
        "self_attention"
    }

    fn uses(&self) -> Vec<Use> {
        [[Use::Read; 4].as_slice(), &[Use::Write; 2]].concat()
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [q, k, v, starts] = take(inputs)?;
        let [queries, keys, sums] = self.types(q.rows);
        self.check(&[("q", &q, queries), ("k", &k, keys), ("v", &v, keys)], &starts)?;
        Ok(vec![queries, sums])
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        kernels::variants(caps)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let naive = context.variant(self, operands)? == "naive";
        let [q, k, v, starts, ..] = operands else { 
            return Err(GpuError::Validation { what: "operands of `self_attention`".into(), message: "some are missing".into() });
         };
        let parts = Parts::new(self.name(), [q, k, v, starts])?;
        self.record_forward(context, &parts, [operands[4].tensor()?, operands[5].tensor()?], naive)
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [q, k, v, starts, y, lse] = operands else { panic!("self_attention takes 6 operands") };
        let of = oracle::Step { op: self, q: q.tensor(), k: k.tensor(), starts: starts.words() };
        of.forward(v.tensor(), y.tensor_mut(), lse.tensor_mut());
    }

    fn backward(&self, back: &mut Backward) -> Result<(), String> {
        if back.gradient(5).is_some() {
            return Err("the sums of its softmax have no gradient".into());
        }
        let Some(dy) = back.gradient(4) else { return Ok(()) };
        let [q, k, v, starts, y, lse] = [0, 1, 2, 3, 4, 5].map(|at| back.operand(at));
        let delta = back.graph.self_attention_delta(self, dy, y);
        let of = [q, k, v, dy, lse, delta, starts];
        if back.wants(0) {
            let dq = back.graph.self_attention_back_query(self, of);
            back.give(0, dq);
        }
        if back.wants(1) || back.wants(2) {
            let [dk, dv] = back.graph.self_attention_back_keys(self, of);
            back.give(1, dk);
            back.give(2, dv);
        }
        Ok(())
    }

    fn work(&self, inputs: &[Type], _: u32) -> u64 {
        self.products(inputs[0].rows, 2)
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        self.key()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        let (op, operands) = self.smoke_operands();
        op.case(operands, "small")
    }
}
