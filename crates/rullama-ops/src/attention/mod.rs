//! Attention over a key and value cache.

use crate::case::{Case, Rng};
use crate::codes::{self, Quantise};
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
///
/// With `blocks` there is one more operand before `y`, words `ends: [tokens]` or more: the token sees keys up to `ends[t] - 1`, which is
/// its own position or a later one of the same step, and never less than that of the token before. It is the mask of pictures, whose
/// soft tokens see each other both ways (HF `create_masks_for_vision_model`).
///
/// With `codes`, `y` is given in codes of 8 bits ([`Quantise`]), for a product that takes those.
/// Source: Vaswani et al. 2017; Milakov & Gimelshein 2018 (one pass over the keys).
#[derive(Debug, Clone)]
pub struct Attention {
    pub heads: u32,
    pub kv_heads: u32,
    /// A multiple of 32, at most 512.
    pub head_dim: u32,
    pub window: Option<u32>,
    pub blocks: bool,
    pub codes: bool,
}

impl Graph {
    /// Attention of `q: [tokens, heads * head_dim]` over the caches of keys and values; gives `[tokens, heads * head_dim]`.
    pub fn attention(&mut self, op: Attention, q: Value, [k, v]: [Value; 2], state: Value) -> Value {
        self.one(Attention { blocks: false, ..op }, &[q, k, v, state])
    }

    /// The same where tokens see keys up to `ends`.
    pub fn attention_in_blocks(&mut self, op: Attention, q: Value, [k, v]: [Value; 2], state: Value, ends: Value) -> Value {
        self.one(Attention { blocks: true, ..op }, &[q, k, v, state, ends])
    }
}

/// Most tokens of a step whose keys are shared out.
const DECODE_TOKENS: u32 = 8;

/// Longest head.
const MAX_HEAD_DIM: u32 = 512;

/// Operands by name.
struct Parts<'a> {
    q: &'a Tensor,
    k: &'a Cache,
    v: &'a Cache,
    state: &'a Slice,
    ends: Option<&'a Slice>,
    y: &'a Tensor,
}

impl Attention {
    fn parts<'a>(&self, operands: &'a [Operand]) -> Result<Parts<'a>, GpuError> {
        let (q, k, v) = (operands[0].tensor()?, operands[1].cache()?, operands[2].cache()?);
        let ends = if self.blocks { Some(operands[4].words()?) } else { None };
        let parts = Parts { q, k, v, state: operands[3].words()?, ends, y: operands[4 + usize::from(self.blocks)].tensor()? };
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
        if let Some(ends) = parts.ends.filter(|ends| ends.size < u64::from(q.rows) * 4) {
            return Err(format!("`ends` has {} words for {} tokens", ends.size / 4, q.rows));
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

    /// Bytes of the values that become codes in a dispatch of their own.
    fn values_scratch(&self, tokens: u32) -> u64 {
        if self.codes { Type::f32(tokens, self.heads * self.head_dim).bytes() } else { 0 }
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
        let mut uses = vec![Use::Read; 4 + usize::from(self.blocks)];
        uses.push(Use::Write);
        uses
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let (of, ends) = inputs.split_at(4.min(inputs.len()));
        let [q, k, v, state] = take(of)?;
        if ends.len() != usize::from(self.blocks) || ends.iter().any(|ends| ends.number != Number::Words) {
            return Err(format!("{} words of ends, with blocks {}", ends.len(), self.blocks));
        }
        let caches = k == v && matches!(k.number, Number::Kv(_)) && k.cols == self.kv_heads * self.head_dim;
        let fits = caches && q.number == Number::F32 && q.cols == self.heads * self.head_dim && state.number == Number::Words;
        fit(fits, &[("q", &q), ("k", &k), ("v", &v), ("state", &state)])?;
        Ok(vec![if self.codes { Type::codes(q.rows, q.cols) } else { q }])
    }

    fn variants(&self, caps: &Caps, operands: &[Operand]) -> Vec<&'static str> {
        // Steps of few tokens hold no block.
        let few = !self.blocks && operands.first().and_then(|q| q.tensor().ok()).is_some_and(|q| q.rows <= DECODE_TOKENS);
        let tiles = !self.blocks && !few;
        // A CPU gains nothing by sharing keys out, and pays for every barrier.
        let all = [
            ("naive", caps.software),
            ("decode_subgroups", few && caps.subgroups.is_some()),
            ("decode", few),
            ("tiles_subgroups", tiles && caps.subgroups.is_some()),
            ("tiles", tiles),
            ("prefill", true),
            ("naive", !caps.software),
        ];
        all.into_iter().filter(|v| v.1).map(|v| v.0).collect()
    }

    fn scratch(&self, _: &Caps, operands: &[Operand]) -> u64 {
        let Ok(parts) = self.parts(operands) else { return 0 };
        let (tokens, slots) = (parts.q.rows, parts.k.slots);
        let shares = match (self.blocks, tokens <= DECODE_TOKENS) {
            (true, _) => 0,
            (_, true) => self.decode_scratch(tokens, slots),
            (_, false) => self.tile_scratch(tokens, slots),
        };
        shares.max(self.values_scratch(tokens))
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let parts = self.parts(operands)?;
        match context.variant(self, operands)? {
            variant @ ("naive" | "prefill") if self.codes => {
                let values = Tensor { slice: context.scratch(self.values_scratch(parts.y.rows))?, ..parts.y.clone() };
                self.record_whole(context, &Parts { y: &values, ..parts }, variant)?;
                Quantise.record(context, &[Operand::Tensor(values), Operand::Tensor(parts.y.clone())])
            }
            variant @ ("naive" | "prefill") => self.record_whole(context, &parts, variant),
            variant @ ("tiles" | "tiles_subgroups") => self.record_tiles(context, &parts, variant == "tiles_subgroups"),
            variant => self.record_decode(context, &parts, variant == "decode_subgroups"),
        }
    }

    fn oracle(&self, operands: &mut [Host]) {
        let (y, operands) = operands.split_last_mut().expect("attention makes a value");
        let (q, k, v, state) = (&operands[0], &operands[1], &operands[2], &operands[3]);
        let (q, k, v) = (q.tensor(), k.cache(), v.cache());
        let mut made = Array::zeros(q.rows, q.cols);
        let (position, tokens) = step(state.words());
        let n = self.head_dim as usize;
        for t in 0..q.rows {
            for head in 0..self.heads as usize {
                let out = &mut made.row_mut(t)[head * n..][..n];
                if t < tokens {
                    let first = head / self.shared_by() as usize * n;
                    let last = operands.get(4).map_or(position + t, |ends| ends.words()[t] as usize - 1);
                    self.oracle_head(&q.row(t)[head * n..][..n], [k, v], first, (position + t, last), out);
                }
            }
        }
        *y = if self.codes { codes::rounded(made.into()) } else { made.into() };
    }

    fn work(&self, inputs: &[Type], end: u32) -> u64 {
        let keys = self.window.map_or(end, |window| end.min(window.saturating_add(inputs[0].rows)));
        2 * u64::from(inputs[0].rows) * u64::from(self.heads * self.head_dim) * u64::from(keys)
    }

    fn kernels(&self, inputs: &[Type], _: &Caps) -> String {
        let few = inputs[0].rows <= DECODE_TOKENS && !self.blocks;
        let (heads, kv) = ((self.heads, self.kv_heads, self.head_dim), inputs[1].number);
        let shared = if few { [self.heads_together(inputs[0].rows), self.loads(inputs[0].rows)] } else { [0, 0] };
        format!("{heads:?}, {kv:?}, few {few}, shared {shared:?}, blocks {}, codes {}", self.blocks, self.codes)
    }

    fn smoke(&self, inputs: &[Type]) -> Case {
        let Number::Kv(kv) = inputs[1].number else { panic!("attention reads a cache") };
        let tokens = inputs[0].rows.min(SMOKE_TOKENS);
        // Of a few tokens the keys are shared out, to as many workgroups as the window asks for and to more than are added up at once.
        let keys = self.window.unwrap_or(0).clamp(256, kernels::MAX_SPLITS * kernels::LEAST_KEYS);
        let (slots, position) = match (self.blocks, tokens <= DECODE_TOKENS) {
            (true, _) => (64, 24),
            (_, true) => (keys as usize + 64, keys + 34),
            // Two shares of a tile's.
            (_, false) => (128, 56),
        };
        let (width, kv_width) = ((self.heads * self.head_dim) as usize, (self.kv_heads * self.head_dim) as usize);
        let mut rng = Rng::new(u64::from(self.kv_heads * self.head_dim + tokens));
        let state = StepState { position, tokens, ..Default::default() };
        let mut cache = || Host::Cache(rng.cache(kv, slots, kv_width));
        let [k, v] = [cache(), cache()];
        let state = Host::Words(bytemuck::cast_slice(&[state]).to_vec());
        let mut operands = vec![rng.tensor(tokens as usize, width).into(), k, v, state];
        if self.blocks {
            operands.push(Host::Words(ends(position, tokens, &[(2, 9), (9, 12)])));
        }
        let y = Type::f32(tokens, width as u32);
        operands.push(Host::zeros(&if self.codes { Type::codes(y.rows, y.cols) } else { y }));
        let window = self.window.map(|window| window.min(slots as u32 - tokens));
        let name = format!("{}/{} heads of {}, {tokens} tokens", self.heads, self.kv_heads, self.head_dim);
        Case::new(name, Attention { window, ..self.clone() }, operands, self.head_dim as usize * slots)
    }
}

/// The last keys of a step at `position` in which the tokens of `blocks` see each other.
fn ends(position: u32, tokens: u32, blocks: &[(u32, u32)]) -> Vec<u32> {
    let block = |t: u32| blocks.iter().find(|(first, end)| (*first..*end).contains(&t));
    (0..tokens).map(|t| position + block(t).map_or(t + 1, |(_, end)| *end.min(&tokens))).collect()
}

/// Tokens of a smoke case for a prompt.
const SMOKE_TOKENS: u32 = 17;

impl Attention {
    /// One head at position `p` that sees keys up to `last`; `first` is where its keys begin in a slot.
    fn oracle_head(&self, q: &[f32], [k, v]: [&HostCache; 2], first: usize, (p, last): (usize, usize), out: &mut [f32]) {
        let visible = |&j: &usize| self.window.is_none_or(|window| p < window as usize + j);
        let keys: Vec<usize> = (0..=last).filter(visible).collect();
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
