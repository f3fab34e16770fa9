//! Drafters of random weights, and what they draft by the definition in f64.

use rullama_model::ModelError;
use rullama_model::drafter::{Drafter, HIDDEN};
use rullama_model::lora::Terms;
use rullama_model::lower::{For, lower};
use rullama_model::model::{self, Model, Rows, Shape};
use rullama_model::reference::Reference;
use rullama_model::weights::Table;
use rullama_ops::sample::{HISTORY, RESULT_WORDS, RESULTS, SampleSettings};
use rullama_ops::{Half, KvType, StepState, Words};
use rullama_source::gguf::write::GgufWriter;
use rullama_source::gguf::{Array, Gguf, Metadata, Value};
use rullama_source::{FileSource, MemorySource};
use rullama_testing::workspace;
use std::collections::HashMap;
use std::sync::Arc;

pub const DIM: usize = 64;
const HEADS: usize = 4;
const FFN: usize = 96;
const EPS: f64 = 1e-6;
pub const CONTEXT: u32 = 512;
/// More than the sliding window of the tiny models.
pub const PROMPT: usize = 300;
pub const DRAFTS: u32 = 7;

/// A model, and what its file says of the layers that a drafter reads.
pub struct Target {
    pub source: Arc<FileSource>,
    pub gguf: Gguf,
    pub model: Arc<dyn Model>,
    pub tables: Vec<Table>,
}

pub fn open(file: &str) -> Target {
    let source = FileSource::open(workspace().join(file)).unwrap();
    let gguf = pollster::block_on(Gguf::open(&source)).unwrap();
    let model = model::open(&gguf).unwrap();
    let tables = pollster::block_on(rullama_model::loaded::tables(&*model, &source, CONTEXT)).unwrap();
    Target { source: Arc::new(source), gguf, model, tables }
}

/// A layer of the drafter: whether it slides, the layer of the target that it reads, heads of keys and their size.
#[derive(Clone, Copy)]
struct Layer {
    sliding: bool,
    of: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl Target {
    fn key(&self, key: &str) -> u32 {
        self.gguf.metadata.u32(&format!("gemma4.{key}")).unwrap()
    }

    fn window(&self) -> usize {
        self.key("attention.sliding_window") as usize
    }

    /// Two sliding layers and a global one.
    fn layers(&self) -> Vec<Layer> {
        let last = |sliding: bool| {
            let cache = *self.model.caches().iter().rfind(|cache| cache.window.is_some() == sliding).unwrap();
            let head_dim = self.key(if sliding { "attention.key_length_swa" } else { "attention.key_length" }) as usize;
            Layer { sliding, of: cache.layer, kv_heads: cache.width as usize / head_dim, head_dim }
        };
        [true, false, true].map(last).to_vec()
    }
}

/// The drafter's weights, in f32 and by name.
#[derive(Clone)]
pub struct File {
    pub metadata: Metadata,
    pub tensors: Vec<(String, Vec<u64>, Vec<f32>)>,
}

/// Numbers of deviation about 1 that follow from a seed.
fn noise(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..count).map(|_| (uniform() + uniform() + uniform()) * 2.0).collect()
}

impl File {
    pub fn of(target: &Target, factors: bool) -> File {
        let layers = target.layers();
        let (wide, vocab) = (target.model.facts().dim as usize, target.model.facts().vocab as usize);
        let mut metadata = Metadata::default();
        let mut set = |key: &str, value: Value| metadata.set(format!("gemma4-assistant.{key}"), value);
        let numbers = [
            ("block_count", layers.len()),
            ("embedding_length", DIM),
            ("embedding_length_out", wide),
            ("feed_forward_length", FFN),
            ("nextn_predict_layers", layers.len()),
            ("attention.head_count", HEADS),
            ("attention.key_length", target.key("attention.key_length") as usize),
            ("attention.key_length_swa", target.key("attention.key_length_swa") as usize),
            ("attention.sliding_window", target.window()),
        ];
        numbers.iter().for_each(|(key, value)| set(key, Value::U32(*value as u32)));
        set("attention.head_count_kv", Value::Array(Array::U32(layers.iter().map(|layer| layer.kv_heads as u32).collect())));
        set("attention.sliding_window_pattern", Value::Array(Array::Bool(layers.iter().map(|layer| layer.sliding).collect())));
        set("rope.freq_base", Value::F32(1e5));
        set("rope.freq_base_swa", Value::F32(2e4));
        metadata.set("general.architecture", Value::String("gemma4-assistant".into()));
        let mut file = File { metadata, tensors: Vec::new() };
        file.matrix("token_embd", DIM, vocab);
        file.vector("output_norm", DIM);
        file.matrix("nextn.pre_projection", 2 * wide, DIM);
        file.matrix("nextn.post_projection", DIM, wide);
        if factors {
            let pairs = target.key("attention.key_length") as usize / 2;
            let values = (0..pairs).map(|i| if i < pairs / 2 { 1.0 + i as f32 / 8.0 } else { 1e30 }).collect();
            file.tensors.push(("rope_freqs.weight".into(), vec![pairs as u64], values));
        }
        for (i, layer) in layers.iter().enumerate() {
            let key = |name: &str| format!("blk.{i}.{name}");
            let q = HEADS * layer.head_dim;
            ["attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"].iter().for_each(|name| file.vector(&key(name), DIM));
            file.vector(&key("attn_q_norm"), layer.head_dim);
            for (name, cols, rows) in
                [("attn_q", DIM, q), ("attn_output", q, DIM), ("ffn_gate", DIM, FFN), ("ffn_up", DIM, FFN), ("ffn_down", FFN, DIM)]
            {
                file.matrix(&key(name), cols, rows);
            }
            file.tensors.push((key("layer_output_scale.weight"), vec![1], vec![0.75 + 0.25 * i as f32]));
        }
        file
    }

    fn matrix(&mut self, name: &str, cols: usize, rows: usize) {
        let scale = (cols as f32).sqrt().recip();
        let values = noise(name.bytes().map(u64::from).sum::<u64>() + cols as u64, rows * cols).iter().map(|v| v * scale).collect();
        self.tensors.push((format!("{name}.weight"), vec![cols as u64, rows as u64], values));
    }

    fn vector(&mut self, name: &str, cols: usize) {
        let values = noise(name.bytes().map(u64::from).sum(), cols).iter().map(|v| 1.0 + v / 4.0).collect();
        self.tensors.push((format!("{name}.weight"), vec![cols as u64], values));
    }

    pub fn source(&self) -> MemorySource {
        let mut writer = GgufWriter::new(self.metadata.clone()).unwrap();
        for (name, dims, _) in &self.tensors {
            writer.add(name, dims, rullama_quant::DType::F32).unwrap();
        }
        let mut stream = writer.start(Vec::new()).unwrap();
        for (name, _, values) in &self.tensors {
            stream.write(name, bytemuck::cast_slice(values)).unwrap();
        }
        MemorySource::new("drafter", stream.finish().unwrap())
    }

    pub fn read(&self, target: &Target) -> Result<Arc<dyn Drafter>, ModelError> {
        target.model.drafter(&pollster::block_on(Gguf::open(&self.source())).unwrap())
    }

    fn get(&self, name: &str) -> Vec<f64> {
        let tensor = self.tensors.iter().find(|tensor| tensor.0 == format!("{name}.weight"));
        tensor.map(|tensor| tensor.2.iter().map(|v| f64::from(*v)).collect()).unwrap_or_default()
    }
}

fn rms(x: &[f64], weight: &[f64]) -> Vec<f64> {
    let mean = x.iter().map(|v| v * v).sum::<f64>() / x.len() as f64;
    x.iter().zip(weight).map(|(v, w)| v / (mean + EPS).sqrt() * w).collect()
}

fn product(weight: &[f64], x: &[f64]) -> Vec<f64> {
    weight.chunks(x.len()).map(|row| row.iter().zip(x).map(|(w, v)| w * v).sum()).collect()
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x * x * x)).tanh())
}

/// What of a target a drafter sees: states and caches behind a prompt, on oracles.
pub struct Seen {
    pub hidden: Vec<f32>,
    pub caches: HashMap<(usize, Half), Vec<f32>>,
    /// The target's embedding, `[vocab, dim]`, and its last norm.
    embedding: Vec<f64>,
    norm: Vec<f64>,
}

pub fn prompt() -> Vec<u32> {
    (0..PROMPT as u32).map(|i| if i == 0 { 2 } else { 500 + i * 37 % 1400 }).collect()
}

pub fn shape(tokens: u32) -> Shape {
    let (rows, kv) = (Rows::Last, KvType::F32);
    Shape { tokens, rows, decode: false, slots: 0, taps: false, hidden: true, soft: false, packed: false, pool: 0, kv }
}

pub fn chunk_words(prompt: &[u32]) -> [(Words, Vec<u32>); 3] {
    let tokens = prompt.len() as u32;
    let state = |position, tokens| bytemuck::cast_slice(&[StepState { position, tokens, ..Default::default() }]).to_vec();
    [(Words::ChunkIds, prompt.to_vec()), (Words::ChunkState, state(0, tokens)), (Words::StepState, state(tokens - 1, 1))]
}

/// What the drafter's step reads behind token `id` at `position`.
pub fn draft_words(id: u32, position: u32) -> [(Words, Vec<u32>); 8] {
    let state = |position| bytemuck::cast_slice(&[StepState { position, tokens: 1, ..Default::default() }]).to_vec();
    [
        (Words::StepId, vec![id, 0, 0, 0]),
        (Words::ChunkState, state(position - 1)),
        (Words::StepState, state(position)),
        (Words::Settings, bytemuck::cast_slice(&[SampleSettings { greedy: 1, ..Default::default() }]).to_vec()),
        (Words::Bias, vec![0; 4]),
        (Words::History, vec![0; HISTORY]),
        (Words::Results, vec![0; RESULTS * RESULT_WORDS]),
        (Words::Mask, vec![0; 1 << 12]),
    ]
}

impl Target {
    pub fn see(&self) -> Seen {
        let specs = self.model.specs();
        let mut reference = Reference::new(&*self.source, specs, &self.tables, &self.model.caches(), KvType::F32, CONTEXT as usize);
        reference.words.extend(chunk_words(&prompt()));
        let graph = self.model.forward(shape(PROMPT as u32), &self.tables, &Terms::default()).checked().unwrap();
        let hidden = pollster::block_on(reference.run(&lower(graph, For::Run, specs))).unwrap()[HIDDEN].data.clone();
        let caches = reference.caches.into_iter().map(|(key, cache)| (key, cache.data)).collect();
        let embedding = pollster::block_on(specs.part("token_embd").unwrap().part.host(&*self.source)).unwrap();
        let dim = embedding.cols;
        let rows = (0..embedding.rows).flat_map(|row| embedding.row(row)[..dim].to_vec()).map(f64::from).collect();
        let norm = self.tables.iter().find(|table| table.key == "output_norm").unwrap();
        Seen { hidden, caches, embedding: rows, norm: norm.values.iter().map(|v| f64::from(*v)).collect() }
    }
}

/// The drafts behind `id` at position `PROMPT` by the definition, and for each how far the best logit is from the next, as a share of the
/// logits' deviation.
pub fn defined(target: &Target, file: &File, seen: &Seen, id: u32) -> Vec<(u32, f64)> {
    let wide = target.model.facts().dim as usize;
    let mut h = rms(&seen.hidden.iter().map(|v| f64::from(*v)).collect::<Vec<_>>(), &seen.norm);
    let (mut id, mut drafts) = (id, Vec::new());
    for _ in 0..DRAFTS {
        let row = &seen.embedding[id as usize * wide..][..wide];
        let input: Vec<f64> = row.iter().map(|v| v * (wide as f64).sqrt()).chain(h).collect();
        let mut x = product(&file.get("nextn.pre_projection"), &input);
        for (i, layer) in target.layers().into_iter().enumerate() {
            let get = |name: &str| file.get(&format!("blk.{i}.{name}"));
            let q = product(&get("attn_q"), &rms(&x, &get("attn_norm")));
            let a = attend(target, file, seen, layer, &q, &get("attn_q_norm"));
            let a = rms(&product(&get("attn_output"), &a), &get("post_attention_norm"));
            x.iter_mut().zip(a).for_each(|(x, a)| *x += a);
            let y = rms(&x, &get("ffn_norm"));
            let (gate, up) = (product(&get("ffn_gate"), &y), product(&get("ffn_up"), &y));
            let f: Vec<f64> = gate.iter().zip(up).map(|(gate, up)| gelu(*gate) * up).collect();
            let f = rms(&product(&get("ffn_down"), &f), &get("post_ffw_norm"));
            x.iter_mut().zip(f).for_each(|(x, f)| *x = (*x + f) * get("layer_output_scale")[0]);
        }
        let y = rms(&x, &file.get("output_norm"));
        let logits = product(&file.get("token_embd"), &y);
        h = product(&file.get("nextn.post_projection"), &y);
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
        let deviation = (logits.iter().map(|v| v * v).sum::<f64>() / logits.len() as f64).sqrt();
        id = order[0] as u32;
        drafts.push((id, (logits[order[0]] - logits[order[1]]) / deviation));
    }
    drafts
}

/// Queries normed, rotated by the position of the token behind the prompt, over the keys before it.
fn attend(target: &Target, file: &File, seen: &Seen, layer: Layer, q: &[f64], norm: &[f64]) -> Vec<f64> {
    let (n, width) = (layer.head_dim, layer.kv_heads * layer.head_dim);
    let factors = file.get("rope_freqs");
    let frequency = |i: usize| match layer.sliding {
        true => 2e4f64.powf(-2.0 * i as f64 / n as f64),
        false if factors.is_empty() && i >= n / 8 => 0.0,
        false if factors.get(i).is_some_and(|factor| *factor > 1e20) => 0.0,
        false => 1e5f64.powf(-2.0 * i as f64 / n as f64) / factors.get(i).copied().unwrap_or(1.0),
    };
    let first = if layer.sliding { PROMPT.saturating_sub(target.window()) } else { 0 };
    let cache = |half| &seen.caches[&(layer.of, half)];
    let mut out = Vec::new();
    for (head, q) in q.chunks(n).enumerate() {
        let q = rms(q, norm);
        let turned: Vec<f64> = (0..n)
            .map(|i| {
                let (pair, (sin, cos)) = (i % (n / 2), (PROMPT as f64 * frequency(i % (n / 2))).sin_cos());
                if i < n / 2 { q[pair] * cos - q[pair + n / 2] * sin } else { q[pair + n / 2] * cos + q[pair] * sin }
            })
            .collect();
        let column = head / (HEADS / layer.kv_heads) * n;
        let row = |half, position: usize| cache(half)[position * width + column..][..n].iter().map(|v| f64::from(*v));
        let scores: Vec<f64> = (first..PROMPT).map(|j| row(Half::Keys, j).zip(&turned).map(|(k, q)| k * q).sum()).collect();
        let most = scores.iter().copied().fold(f64::MIN, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let mut a = vec![0.0; n];
        for (j, weight) in (first..PROMPT).zip(weights) {
            a.iter_mut().zip(row(Half::Values, j)).for_each(|(a, v)| *a += weight / sum * v);
        }
        out.extend(a);
    }
    out
}
