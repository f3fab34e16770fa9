//! Small cases of the kernels that one model uses, quick enough for every load.

use crate::case::{Case, Rng};
use crate::host::{Array, Host};
use crate::matmul::Like;
use crate::matmul::sizes::{Dims, Sizes};
use crate::op::{KvType, StepState};
use crate::qkv::rope_tables;
use crate::sample::{HISTORY, RESULT_WORDS, RESULTS, Sample, SampleMode, SampleSettings, bias_words};
use crate::{Attention, Embed, Epilogue, GegluMatmul, LastRow, Matmul, PerLayerCombine, QkvPrepare, QueryPrepare, ResidualNorm, RmsNorm};
use rullama_gpu::Caps;
use rullama_quant::DType;

/// What a model uses.
#[derive(Debug, Clone)]
pub struct Smoke {
    pub products: Vec<Product>,
    /// Formats of tables whose rows are gathered.
    pub tables: Vec<DType>,
    /// Key heads and head sizes of its layers.
    pub heads: Vec<(u32, u32)>,
    pub query_heads: u32,
    pub kv: KvType,
    pub window: u32,
}

/// A product with one of the model's weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Product {
    pub dtype: DType,
    pub rows: u32,
    pub cols: u32,
    pub kind: ProductKind,
    /// Whether all rows of a prompt pass through, or one at a time.
    pub prompts: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ProductKind {
    Plain(Epilogue),
    /// Gates and ups in turn.
    Geglu,
}

/// Tokens of steps: decoding, a short prompt, and the ends of the longer ones.
const STEPS: [u32; 4] = [1, 8, 16, 512];
/// Most tokens of a case: two blocks of the widest `vector`, and one more.
const MOST_TOKENS: u32 = 17;
/// Rows of a case's weight.
const ROWS: usize = 24;
/// Row length of tables and norms: one block of the largest formats.
const COLS: usize = 256;

/// Every kernel that the model uses on this adapter, once.
pub fn cases(model: &Smoke, caps: &Caps) -> Vec<Case> {
    let mut all = products(&model.products, caps);
    for tokens in [1, MOST_TOKENS as usize] {
        for (kv_heads, head_dim) in &model.heads {
            all.extend(attention(model, *kv_heads as usize, *head_dim as usize, tokens));
        }
    }
    all.extend(model.tables.iter().map(|dtype| table(*dtype)));
    all.extend(norms(3));
    all
}

/// One case for each kernel that some product is given at some number of tokens.
fn products(products: &[Product], caps: &Caps) -> Vec<Case> {
    let mut seen: Vec<(DType, ProductKind, Vec<Sizes>)> = Vec::new();
    let mut all = Vec::new();
    for product in products {
        for tokens in if product.prompts { &STEPS[..] } else { &STEPS[..1] } {
            let pairs = product.kind == ProductKind::Geglu;
            let dims = Dims { tokens: *tokens, rows: product.rows, groups: product.cols / 32, pairs };
            let sizes = dims.variants(caps).into_iter().map(|variant| dims.sizes(variant, caps)).collect();
            let kernels = (product.dtype, product.kind, sizes);
            if !seen.contains(&kernels) {
                seen.push(kernels);
                all.push(product_case(product, dims));
            }
        }
    }
    all
}

fn product_case(product: &Product, dims: Dims) -> Case {
    let (dtype, cols, tokens) = (product.dtype, product.cols as usize, dims.tokens.min(MOST_TOKENS) as usize);
    let mut rng = Rng::new(u64::from(dtype.ggml_id()) + tokens as u64);
    let name = format!("{} x {}x{cols} for {} tokens", dtype.name(), product.rows, dims.tokens);
    let mut operands = vec![rng.tensor(tokens, cols).into(), Host::Weight(rng.weight(dtype, ROWS, cols))];
    match product.kind {
        ProductKind::Plain(epilogue) => {
            if epilogue == Epilogue::GeluMul {
                operands.push(rng.tensor(tokens, ROWS).into());
            }
            operands.push(Array::zeros(tokens, ROWS).into());
            Case::new(name, Like { op: Matmul { epilogue }, dims }, operands, 4 * cols)
        }
        ProductKind::Geglu => {
            operands.push(Array::zeros(tokens, ROWS / 2).into());
            Case::new(name, Like { op: GegluMatmul, dims }, operands, 4 * cols)
        }
    }
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
pub fn sampler(mode: SampleMode) -> Case {
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
        Case::new(&name, ResidualNorm { eps: 1e-6, scale: 0.5, next: false }, residual[..3].to_vec(), COLS),
        Case::new(&name, ResidualNorm { eps: 1e-6, scale: 0.5, next: true }, residual, COLS),
        Case::new(&name, PerLayerCombine { eps: 1e-6, scale: 0.1 }, vec![x(&mut rng), x(&mut rng), w(&mut rng)], COLS),
    ]
}
