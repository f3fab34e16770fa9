//! A few small cases of the operations that one model uses, quick enough for every load.

use crate::case::{Case, Rng};
use crate::host::{Array, Host};
use crate::op::{KvType, StepState};
use crate::qkv::rope_tables;
use crate::sample::{HISTORY, RESULT_WORDS, RESULTS, Sample, SampleMode, SampleSettings, bias_words};
use crate::{Attention, Embed, Epilogue, GegluMatmul, LastRow, Matmul, PerLayerCombine, QkvPrepare, QueryPrepare, ResidualNorm, RmsNorm};
use rullama_quant::DType;

/// What a model uses.
#[derive(Debug, Clone)]
pub struct Smoke {
    /// Formats of its matrices.
    pub matrices: Vec<DType>,
    /// Formats of its joined gates and ups.
    pub pairs: Vec<DType>,
    /// Formats of tables whose rows are gathered.
    pub tables: Vec<DType>,
    /// Key heads and head sizes of its layers.
    pub heads: Vec<(u32, u32)>,
    pub query_heads: u32,
    pub kv: KvType,
    pub window: u32,
}

/// Row length of the test weights: one block of the largest formats.
const COLS: usize = 256;
/// Tokens of a decode step, and of a prompt.
const TOKENS: [usize; 2] = [1, 17];

/// Every operation in every format and head size of the model, for each count of tokens.
pub fn cases(model: &Smoke, software: bool) -> Vec<Case> {
    let mut all = Vec::new();
    // CPU adapters compile slowly, and the whole case list runs on them before each release.
    for tokens in TOKENS.into_iter().take(if software { 1 } else { 2 }) {
        all.extend(model.matrices.iter().map(|dtype| matrix(*dtype, tokens)));
        all.extend(model.pairs.iter().map(|dtype| pair(*dtype, tokens)));
        for (kv_heads, head_dim) in &model.heads {
            all.extend(attention(model, *kv_heads as usize, *head_dim as usize, tokens));
        }
    }
    all.extend(model.tables.iter().map(|dtype| table(*dtype)));
    all.extend(norms(3));
    if !software {
        all.extend([SampleMode::Greedy, SampleMode::TopK].map(sampler));
    }
    all
}

fn matrix(dtype: DType, tokens: usize) -> Case {
    let mut rng = Rng::new(u64::from(dtype.ggml_id()) + tokens as u64);
    let operands = vec![rng.tensor(tokens, COLS).into(), Host::Weight(rng.weight(dtype, 64, COLS)), Array::zeros(tokens, 64).into()];
    Case::new(format!("{} {tokens} tokens", dtype.name()), Matmul { epilogue: Epilogue::None }, operands, COLS)
}

fn pair(dtype: DType, tokens: usize) -> Case {
    let mut rng = Rng::new(u64::from(dtype.ggml_id()) + tokens as u64);
    let operands = vec![rng.tensor(tokens, COLS).into(), Host::Weight(rng.weight(dtype, 64, COLS)), Array::zeros(tokens, 32).into()];
    Case::new(format!("{} {tokens} tokens", dtype.name()), GegluMatmul, operands, COLS)
}

fn table(dtype: DType) -> Case {
    let mut rng = Rng::new(u64::from(dtype.ggml_id()));
    let operands = vec![Host::Words(vec![5, 63, 0]), Host::Weight(rng.weight(dtype, 64, COLS)), Array::zeros(3, COLS).into()];
    Case::new(dtype.name(), Embed { scale: 3.0 }, operands, 1)
}

fn attention(model: &Smoke, kv_heads: usize, head_dim: usize, tokens: usize) -> Vec<Case> {
    let mut rng = Rng::new((kv_heads * head_dim + tokens) as u64);
    let heads = model.query_heads as usize;
    let slots = 64;
    let position = 40u32.saturating_sub(tokens as u32);
    let state = StepState { position, tokens: tokens as u32, ..Default::default() };
    let state = Host::Words(bytemuck::cast_slice(&[state]).to_vec());
    let name = format!("{heads}/{kv_heads} heads of {head_dim}, {tokens} tokens");
    let frequencies: Vec<f64> = (0..head_dim / 2).map(|i| 1e4f64.powf(-2.0 * i as f64 / head_dim as f64)).collect();
    let (low, high) = rope_tables(&frequencies, 256);
    let table = |data: Vec<f32>| Host::from(Array { rows: data.len() / head_dim, cols: head_dim, data });
    let cache = |rng: &mut Rng| Host::Cache(rng.cache(model.kv, slots, kv_heads * head_dim));
    let raw = |rng: &mut Rng, n: usize| Host::from(rng.tensor(tokens, n * head_dim));
    let zeros = || Host::from(Array::zeros(tokens, heads * head_dim));
    let query = vec![raw(&mut rng, heads), rng.tensor(1, head_dim).into(), table(low.clone()), table(high.clone()), state.clone(), zeros()];
    let last = vec![raw(&mut rng, heads), state.clone(), Host::from(Array::zeros(1, heads * head_dim))];
    let prepare = vec![
        raw(&mut rng, heads),
        raw(&mut rng, kv_heads),
        raw(&mut rng, kv_heads),
        rng.tensor(1, head_dim).into(),
        rng.tensor(1, head_dim).into(),
        table(low),
        table(high),
        state.clone(),
        zeros(),
        cache(&mut rng),
        cache(&mut rng),
    ];
    let attend = vec![raw(&mut rng, heads), cache(&mut rng), cache(&mut rng), state, zeros()];
    let op = QkvPrepare { heads: heads as u32, kv_heads: kv_heads as u32, head_dim: head_dim as u32, eps: 1e-6 };
    let window = Some(model.window.min(slots as u32 - tokens as u32));
    let attention = Attention { heads: heads as u32, kv_heads: kv_heads as u32, head_dim: head_dim as u32, window };
    let query_op = QueryPrepare { heads: heads as u32, head_dim: head_dim as u32, eps: 1e-6 };
    vec![
        Case::new(&name, op, prepare, head_dim),
        Case::new(&name, query_op, query, head_dim),
        Case::new(&name, attention, attend, head_dim * 64),
        Case::new(&name, LastRow, last, 1),
    ]
}

/// Logits far enough apart that rounding decides nothing.
fn sampler(mode: SampleMode) -> Case {
    let vocab = 512;
    let logits = (0..vocab).map(|i| (i * 37 % vocab) as f32 / 64.0).collect();
    let settings = SampleSettings { top_k: 8, top_p: 1.0, ..Default::default() }.seed(3);
    let state = StepState { position: 9, tokens: 1, ..Default::default() };
    let words = |words: &[u32]| Host::Words(words.to_vec());
    let operands = vec![
        Array { rows: 1, cols: vocab, data: logits }.into(),
        words(bytemuck::cast_slice(&[settings])),
        words(&bias_words(&[(5, 1.5)])),
        words(&[0; HISTORY]),
        words(bytemuck::cast_slice(&[state])),
        words(&[0; 4]),
        words(&[0; RESULTS * RESULT_WORDS]),
    ];
    Case::new(format!("{mode:?}"), Sample { vocab: vocab as u32, mode }, operands, 1)
}

fn norms(tokens: usize) -> Vec<Case> {
    let mut rng = Rng::new(tokens as u64);
    let name = format!("{tokens} tokens");
    let x = |rng: &mut Rng| Host::from(rng.tensor(tokens, COLS));
    let w = |rng: &mut Rng| Host::from(rng.tensor(1, COLS));
    let zeros = || Host::from(Array::zeros(tokens, COLS));
    let residual = vec![x(&mut rng), w(&mut rng), x(&mut rng), w(&mut rng), zeros()];
    vec![
        Case::new(&name, RmsNorm { eps: 1e-6 }, vec![x(&mut rng), w(&mut rng), zeros()], COLS),
        Case::new(&name, ResidualNorm { eps: 1e-6, scale: 0.5, next: true }, residual, COLS),
        Case::new(&name, PerLayerCombine { eps: 1e-6, scale: 0.1 }, vec![x(&mut rng), x(&mut rng), w(&mut rng)], COLS),
    ]
}
