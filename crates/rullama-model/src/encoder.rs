//! Encoders: what turns texts into embeddings, many of different lengths in one step.
//!
//! An [`Encoder`] is algebra over a [`Graph`], as a model is, but nothing goes on from step to step: it has no caches.
//! [`LoadedEncoder`] is one with its weights on a device.

use crate::loader::Loader;
use crate::lower::{For, lower};
use crate::pace::Pace;
use crate::plan::{Plan, Pool, Resources};
use crate::selftest::SelfTest;
use crate::weights::{Specs, Table, Weights, read_tables};
use crate::words::WordBuffers;
use crate::{ModelError, Stage, step};
use async_lock::Mutex;
use rullama_gpu::{Device, Readback, Slice};
use rullama_ops::{Cache, Graph, Half, Words};
use rullama_source::ByteSource;
use rullama_source::gguf::TensorInfo;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Debug;
use std::sync::Arc;

/// Sizes of an encoder, for those who run it.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderFacts {
    pub layers: usize,
    /// Values of an embedding.
    pub dim: u32,
    /// Lengths to which embeddings were trained to be cut, the whole one first.
    pub lengths: Vec<u32>,
    pub vocab: u32,
    pub heads: u32,
    /// Tokens around it that one of a sliding layer sees half of on each side.
    pub window: u32,
    /// Tokens of the longest text.
    pub context: u32,
    /// Values a token of the widest activation.
    pub widest: u32,
}

/// What a step looks like; graphs are built once for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EncoderShape {
    pub tokens: u32,
    pub texts: u32,
    /// Keep the stages before the embeddings, from unfused operations.
    pub taps: bool,
}

/// An encoder as a file describes it.
pub trait Encoder: Debug + Send + Sync {
    fn facts(&self) -> &EncoderFacts;

    /// The weights and tables that its graphs name.
    fn specs(&self) -> &Specs;

    /// Tables that are computed, for steps of at most so many tokens.
    fn tables(&self, tokens: u32) -> Vec<Table>;

    /// The algebra of a step over the words `ChunkIds`, `Starts`, `Ends` and `Spans`; output `embedding` `[texts, dim]`.
    fn forward(&self, shape: EncoderShape) -> Graph;

    /// Its architecture for people: names of properties, and what they are.
    fn describe(&self) -> Vec<(&'static str, String)>;

    /// Bytes of its weights.
    fn bytes(&self) -> u64;
}

/// Tokens of a step, where no text is longer: enough to fill a GPU.
const STEP_TOKENS: u32 = 2048;

/// Texts of a step.
const STEP_TEXTS: usize = 32;

/// Longest text that is taken, whatever the model says: attention grows with its square.
const LONGEST: u32 = 8192;

/// Outputs of a step by name: values of all texts, and their columns.
pub type EncoderOutputs = HashMap<String, (Vec<f32>, u32)>;

/// An encoder on a device.
pub struct LoadedEncoder {
    pub device: Device,
    pub encoder: Arc<dyn Encoder>,
    /// Tokens of the longest text that is taken.
    pub context: u32,
    /// Bytes of weights put on the GPU.
    pub loaded_bytes: u64,
    /// Tokens of the longest step.
    pub step_tokens: u32,
    weights: Weights,
    words: WordBuffers,
    pace: Pace,
    /// Whose turn it is: one step runs at a time.
    turn: Mutex<Turn>,
}

/// What a step has to itself.
#[derive(Default)]
struct Turn {
    test: SelfTest,
    pool: Pool,
    plans: HashMap<EncoderShape, Plan>,
    fences: Vec<Readback>,
}

/// What a plan is built from.
struct View<'a> {
    weights: &'a Weights,
    words: &'a WordBuffers,
    banned: &'a [(String, &'static str)],
}

impl Resources for View<'_> {
    fn weights(&self) -> &Weights {
        self.weights
    }

    fn cache(&self, _: usize, _: Half) -> Option<Cache> {
        None
    }

    fn words(&self, words: Words) -> Option<Slice> {
        self.words.slice(words)
    }

    fn banned(&self) -> &[(String, &'static str)] {
        self.banned
    }
}

/// Tokens that a step of `n` is padded to, so that few shapes are built.
fn padded(n: u32) -> u32 {
    match n {
        0..=64 => n.next_multiple_of(16).max(16),
        65..=512 => n.next_multiple_of(64),
        _ => n.next_multiple_of(256),
    }
}

/// The same for texts.
fn padded_texts(n: usize) -> u32 {
    match n {
        0..=1 => 1,
        2..=8 => 8,
        _ => (n as u32).next_multiple_of(STEP_TEXTS as u32),
    }
}

/// The words of a step: ids, starts, ends, spans; padding sees nothing, texts that are none have no tokens.
fn step_words(texts: &[&[u32]], shape: EncoderShape) -> [(Words, Vec<u32>); 4] {
    let (mut ids, mut starts, mut ends, mut spans) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for text in texts {
        let (first, len) = (ids.len() as u32, text.len());
        ids.extend_from_slice(text);
        let end = ids.len() as u32;
        starts.extend(vec![first; len]);
        ends.extend(vec![end; len]);
        spans.extend([first, end]);
    }
    ids.resize(shape.tokens as usize, 0);
    starts.resize(shape.tokens as usize, u32::MAX);
    ends.resize(shape.tokens as usize, 0);
    spans.resize(2 * shape.texts as usize, 0);
    [(Words::ChunkIds, ids), (Words::Starts, starts), (Words::Ends, ends), (Words::Spans, spans)]
}

impl LoadedEncoder {
    /// Puts an encoder's weights on a device and tests the kernels of short and long steps. `context` bounds the tokens of a text.
    /// `progress` ends the load when it gives false.
    ///
    /// # Errors
    /// What cannot be read, does not fit or computes wrongly; [`ModelError::Cancelled`].
    pub async fn load(
        device: Device,
        encoder: Arc<dyn Encoder>,
        source: &dyn ByteSource,
        context: Option<u32>,
        progress: &mut dyn FnMut(Stage) -> bool,
    ) -> Result<Self, ModelError> {
        let facts = encoder.facts();
        // As many tokens as a binding holds of the widest activation, whole paddings.
        let most = device.caps().max_binding / (u64::from(facts.widest) * 4) / 256 * 256;
        let most = u32::try_from(most).unwrap_or(u32::MAX).clamp(256, LONGEST);
        let context = context.unwrap_or(LONGEST).min(facts.context).min(most);
        let step_tokens = padded(context.max(STEP_TOKENS.min(most)));
        let specs = encoder.specs();
        let tensors: Vec<&TensorInfo> = specs.tables.iter().map(|spec| &spec.tensor).collect();
        let read = specs.tables.iter().zip(read_tables(source, &tensors).await?);
        let mut tables: Vec<Table> = read.map(|(spec, values)| Table { key: spec.key.clone(), cols: values.len(), values }).collect();
        tables.extend(encoder.tables(step_tokens));
        let mut weights = Weights::default();
        weights.add_tables(&device, &tables).await?;
        let total = encoder.bytes();
        let mut report = |done| progress(Stage::Weights { done, total });
        Loader::new(&device, source, &mut report).load(specs.weights.iter(), &mut weights).await?;
        device.finish().await?;
        let tokens = step_tokens as usize;
        let sizes = [(Words::ChunkIds, tokens), (Words::Starts, tokens), (Words::Ends, tokens), (Words::Spans, 2 * STEP_TEXTS)];
        let words = WordBuffers::new(&device, &sizes).await?;
        let pace = Pace::new(device.caps().software);
        let turn = Mutex::default();
        let loaded = LoadedEncoder { device, encoder, context, loaded_bytes: total, step_tokens, weights, words, pace, turn };
        if !progress(Stage::SelfTest) {
            return Err(ModelError::Cancelled);
        }
        for (tokens, texts) in [(16, 1), (step_tokens, STEP_TEXTS)] {
            let shape = EncoderShape { tokens, texts: padded_texts(texts), taps: false };
            loaded.graph(shape, &mut loaded.turn.lock().await.test).await?;
        }
        Ok(loaded)
    }

    /// Whether so many texts of so many tokens together fit a step.
    pub fn fits(&self, texts: usize, tokens: usize) -> bool {
        texts <= STEP_TEXTS && tokens <= self.step_tokens as usize
    }

    /// The outputs for texts that [fit a step](Self::fits), as ids of the vocabulary, each at most the context long.
    ///
    /// # Errors
    /// Texts that do not fit, ids outside the vocabulary, no memory, a lost device; [`ModelError::Cancelled`] between two parts.
    pub async fn encode(&self, texts: &[&[u32]], taps: bool, cancelled: &dyn Fn() -> bool) -> Result<EncoderOutputs, ModelError> {
        self.check(texts)?;
        let tokens = padded(texts.iter().map(|text| text.len() as u32).sum());
        let shape = EncoderShape { tokens, texts: padded_texts(texts.len()), taps };
        let mut turn = self.turn.lock().await;
        let Turn { test, pool, plans, fences } = &mut *turn;
        let plan = match plans.entry(shape) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let graph = self.graph(shape, test).await?;
                let view = View { weights: &self.weights, words: &self.words, banned: &test.banned };
                place.insert(Plan::build(&self.device, &graph, &view, pool).await?)
            }
        };
        for (words, values) in step_words(texts, shape) {
            self.words.write(&self.device, words, bytemuck::cast_slice(&values));
        }
        step::run_parts(&self.device, &self.pace, (plan, 0..plan.recording.len()), fences, (tokens, tokens), cancelled).await?;
        let mut outputs = EncoderOutputs::new();
        for (name, tensor) in plan.outputs() {
            // Stages by tokens have all rows, the others one a text.
            let rows = if tensor.rows == shape.texts { texts.len() as u32 } else { tensor.rows };
            outputs.insert(name.to_owned(), (step::read_rows(&self.device, tensor, rows).await?, tensor.cols));
        }
        Ok(outputs)
    }

    fn check(&self, texts: &[&[u32]]) -> Result<(), ModelError> {
        let rows = u64::from(self.encoder.facts().vocab);
        if let Some(row) = texts.iter().flat_map(|text| text.iter()).map(|id| u64::from(*id)).find(|id| *id >= rows) {
            return Err(ModelError::Row { name: "token_embd.weight".into(), row, rows });
        }
        let tokens: usize = texts.iter().map(|text| text.len()).sum();
        if !self.fits(texts.len(), tokens) {
            return Err(ModelError::StepTooLong { texts: texts.len(), tokens, most: self.step_tokens });
        }
        Ok(())
    }

    async fn graph(&self, shape: EncoderShape, test: &mut SelfTest) -> Result<Graph, ModelError> {
        let graph = self.encoder.forward(shape).checked()?;
        let graph = lower(graph, if shape.taps { For::Look } else { For::Run }, self.encoder.specs());
        test.test(&self.device, &graph).await?;
        Ok(graph)
    }

    /// Variants that failed their test on this device.
    pub async fn banned(&self) -> Vec<(String, &'static str)> {
        self.turn.lock().await.test.banned.clone()
    }
}

impl Debug for LoadedEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedEncoder").field("encoder", &self.encoder).field("context", &self.context).finish_non_exhaustive()
    }
}
