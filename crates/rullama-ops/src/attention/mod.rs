//! Attention over a key and value cache.

use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host, HostCache};
use crate::op::{Cache, Context, Op, Operand, StepState, Tensor, Use};
use crate::qkv::step;
use rullama_gpu::{Caps, GpuError, Slice};

mod kernels;

#[cfg(feature = "cases")]
pub mod cases;

/// `y = softmax(q K^T) V` per token and head, with scores unscaled (Gemma 4 normalises queries
/// and keys instead) and no softcap.
///
/// Operands: `q: [tokens, heads * head_dim]`, the caches `k` and `v` of `kv_heads * head_dim`,
/// the step state, out `y: [tokens, heads * head_dim]`. Query head h reads key head
/// `h / (heads / kv_heads)`. The token at position p sees key j where `j <= p` and, with a
/// window, `p - j < window`. A cache must hold at least `window + tokens` slots, or every
/// position where there is no window; the keys of the step are in it already. Rows from
/// `state[TOKENS]` on become zeros.
/// Source: Vaswani et al. 2017; Milakov & Gimelshein 2018 (one pass over the keys).
#[derive(Debug, Clone)]
pub struct Attention {
    pub heads: u32,
    pub kv_heads: u32,
    /// A multiple of 32, at most 512.
    pub head_dim: u32,
    pub window: Option<u32>,
}

impl Graph {
    /// Attention of `q: [tokens, heads * head_dim]` over the caches of keys and values; gives `[tokens, heads * head_dim]`.
    pub fn attention(&mut self, op: Attention, q: Value, [k, v]: [Value; 2], state: Value) -> Value {
        self.one(op, &[q, k, v, state])
    }
}

/// Most tokens of a step whose keys are shared out.
const DECODE_TOKENS: u32 = 4;

/// Longest head.
const MAX_HEAD_DIM: u32 = 512;

/// Operands by name.
struct Parts<'a> {
    q: &'a Tensor,
    k: &'a Cache,
    v: &'a Cache,
    state: &'a Slice,
    y: &'a Tensor,
}

impl Attention {
    fn parts<'a>(&self, operands: &'a [Operand]) -> Result<Parts<'a>, GpuError> {
        let (q, k, v) = (operands[0].tensor()?, operands[1].cache()?, operands[2].cache()?);
        let parts = Parts { q, k, v, state: operands[3].words()?, y: operands[4].tensor()? };
        self.check(&parts).map_err(|message| GpuError::Validation { what: "operands of `attention`".into(), message })?;
        Ok(parts)
    }

    fn check(&self, parts: &Parts) -> Result<(), String> {
        let (heads, kv_heads, n) = (self.heads, self.kv_heads, self.head_dim);
        if n == 0 || !n.is_multiple_of(32) || n > MAX_HEAD_DIM {
            return Err(format!("head_dim {n} is not a multiple of 32 up to {MAX_HEAD_DIM}"));
        }
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(format!("{heads} heads do not share {kv_heads} heads of keys evenly"));
        }
        let (q, y) = (parts.q, parts.y);
        if q.cols != heads * n || y.cols != heads * n || y.rows != q.rows {
            return Err(format!("q is [{}, {}], y is [{}, {}] for {heads} heads of {n}", q.rows, q.cols, y.rows, y.cols));
        }
        let least = self.window.map_or(1, |w| w.saturating_add(q.rows));
        for cache in [parts.k, parts.v] {
            if cache.width != kv_heads * n || cache.slots != parts.k.slots || cache.kv != parts.k.kv || cache.slots < least {
                return Err(format!(
                    "a cache of {} slots, width {}, {:?}, for {kv_heads} heads of {n} and at least {least} slots",
                    cache.slots, cache.width, cache.kv
                ));
            }
        }
        Ok(())
    }

    /// Query heads that use one head of keys.
    fn shared_by(&self) -> u32 {
        self.heads / self.kv_heads
    }
}

impl Op for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn uses(&self) -> Vec<Use> {
        [[Use::Read; 4].as_slice(), &[Use::Write]].concat()
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [q, k, v, state] = take(inputs)?;
        let caches = k == v && matches!(k.number, Number::Kv(_)) && k.cols == self.kv_heads * self.head_dim;
        let fits = caches && q.number == Number::F32 && q.cols == self.heads * self.head_dim && state.number == Number::Words;
        fit(fits, &[("q", &q), ("k", &k), ("v", &v), ("state", &state)])?;
        Ok(vec![q])
    }

    fn variants(&self, caps: &Caps, operands: &[Operand]) -> Vec<&'static str> {
        let few = operands.first().and_then(|q| q.tensor().ok()).is_some_and(|q| q.rows <= DECODE_TOKENS);
        // A CPU gains nothing by sharing keys out, and pays for every barrier.
        let all = [
            ("naive", caps.software),
            ("decode_subgroups", few && caps.subgroups.is_some()),
            ("decode", few),
            ("prefill", true),
            ("naive", !caps.software),
        ];
        all.into_iter().filter(|v| v.1).map(|v| v.0).collect()
    }

    fn scratch(&self, _: &Caps, operands: &[Operand]) -> u64 {
        match self.parts(operands) {
            Ok(parts) if parts.q.rows <= DECODE_TOKENS => self.decode_scratch(parts.q.rows, parts.k.slots),
            _ => 0,
        }
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let parts = self.parts(operands)?;
        match context.variant(self, operands)? {
            "naive" => self.record_naive(context, &parts),
            "prefill" => self.record_prefill(context, &parts),
            variant => self.record_decode(context, &parts, variant == "decode_subgroups"),
        }
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [q, k, v, state, y] = operands else { panic!("attention takes 5 operands") };
        let (q, k, v, y) = (q.tensor(), k.cache(), v.cache(), y.tensor_mut());
        let (position, tokens) = step(state.words());
        let n = self.head_dim as usize;
        for t in 0..q.rows {
            for head in 0..self.heads as usize {
                let out = &mut y.row_mut(t)[head * n..][..n];
                out.fill(0.0);
                if t < tokens {
                    let first = head / self.shared_by() as usize * n;
                    self.oracle_head(&q.row(t)[head * n..][..n], [k, v], first, position + t, out);
                }
            }
        }
    }

    fn work(&self, inputs: &[Type], end: u32) -> u64 {
        let keys = self.window.map_or(end, |window| end.min(window.saturating_add(inputs[0].rows)));
        2 * u64::from(inputs[0].rows) * u64::from(self.heads * self.head_dim) * u64::from(keys)
    }

    fn kernels(&self, inputs: &[Type], _: &Caps) -> String {
        let few = inputs[0].rows <= DECODE_TOKENS;
        format!("{}/{} heads of {}, {:?}, few {few}", self.heads, self.kv_heads, self.head_dim, inputs[1].number)
    }

    fn smoke(&self, inputs: &[Type]) -> Case {
        let Number::Kv(kv) = inputs[1].number else { panic!("attention reads a cache") };
        let (tokens, slots, position) = (inputs[0].rows.min(SMOKE_TOKENS), 64, 24);
        let (width, kv_width) = ((self.heads * self.head_dim) as usize, (self.kv_heads * self.head_dim) as usize);
        let mut rng = Rng::new(u64::from(self.kv_heads * self.head_dim + tokens));
        let state = StepState { position, tokens, ..Default::default() };
        let mut cache = || Host::Cache(rng.cache(kv, slots, kv_width));
        let [k, v] = [cache(), cache()];
        let state = Host::Words(bytemuck::cast_slice(&[state]).to_vec());
        let operands = vec![rng.tensor(tokens as usize, width).into(), k, v, state, Array::zeros(tokens as usize, width).into()];
        let window = self.window.map(|window| window.min(slots as u32 - tokens));
        let name = format!("{}/{} heads of {}, {tokens} tokens", self.heads, self.kv_heads, self.head_dim);
        Case::new(name, Attention { window, ..self.clone() }, operands, self.head_dim as usize * slots)
    }
}

/// Tokens of a smoke case for a prompt.
const SMOKE_TOKENS: u32 = 17;

impl Attention {
    /// One head at position `p`; `first` is where its keys begin in a slot.
    fn oracle_head(&self, q: &[f32], [k, v]: [&HostCache; 2], first: usize, p: usize, out: &mut [f32]) {
        let visible = |&j: &usize| self.window.is_none_or(|window| p - j < window as usize);
        let keys: Vec<usize> = (0..=p).filter(visible).collect();
        let score = |j: &usize| q.iter().zip(&k.slot(*j)[first..]).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        let scores: Vec<f64> = keys.iter().map(score).collect();
        let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|s| (s - best).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let mut y = vec![0f64; q.len()];
        for (j, weight) in keys.iter().zip(&weights) {
            y.iter_mut().zip(&v.slot(*j)[first..]).for_each(|(y, &x)| *y += weight / sum * f64::from(x));
        }
        out.iter_mut().zip(y).for_each(|(to, x)| *to = x as f32);
    }
}
