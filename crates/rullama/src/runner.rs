//! The device side of a session: plans, the words that host and kernels share, and the caches.

use crate::Error;
use crate::engine::Engine;
use rullama_gpu::{Buffer, Device, GpuError, Recorder, Slice, Usage};
use rullama_model::gemma4::{self, Rows, Shape};
use rullama_model::graph::{Half, Input, Words};
use rullama_model::kv_cache::{CacheShape, KvCache};
use rullama_model::per_layer::RowProvider;
use rullama_model::plan::{Plan, Pool, Resources, Then};
use rullama_model::weights::Weights;
use rullama_ops::sample::{HISTORY, RESULT_WORDS, RESULTS, Sample, SampleMode, SampleSettings, bias_words};
use rullama_ops::{Cache, Context, KvType, Op, Operand, StepState, Tensor};
use std::collections::HashMap;

/// Most tokens of one step.
pub(crate) const MAX_CHUNK: u32 = 512;
/// Rewinding that a ring serves without computing anew, queued steps included.
const SLACK: u32 = 256;

/// The caches that a session makes.
pub fn cache_shape(kv: KvType, context: u32) -> CacheShape {
    CacheShape { kv, chunk: MAX_CHUNK, slack: SLACK, context }
}

/// A recording's identity: the step's shape and what follows the logits.
type PlanKey = (Shape, Option<SampleMode>);

/// Buffers of words, one set a session.
#[derive(Debug)]
struct WordBuffers {
    chunk_ids: Buffer,
    chunk_state: Buffer,
    step_id: Buffer,
    step_state: Buffer,
    settings: Buffer,
    bias: Buffer,
    history: Buffer,
    results: Buffer,
}

impl WordBuffers {
    async fn new(device: &Device, suppressed: usize) -> Result<Self, GpuError> {
        let words = async |label: &str, count: usize| device.buffer(label, count as u64 * 4, Usage::Storage).await;
        Ok(WordBuffers {
            chunk_ids: words("chunk ids", MAX_CHUNK as usize).await?,
            chunk_state: words("chunk state", 8).await?,
            step_id: words("step id", 4).await?,
            step_state: words("step state", 8).await?,
            settings: words("sampler settings", size_of::<SampleSettings>() / 4).await?,
            bias: words("logit bias", 1 + 2 * (crate::options::MAX_BIAS + suppressed)).await?,
            history: words("token history", HISTORY).await?,
            results: words("sampler results", RESULTS * RESULT_WORDS).await?,
        })
    }
}

/// Plans, caches and shared words of one sequence.
pub(crate) struct Runner {
    pub engine: Engine,
    pub cache: KvCache,
    pool: Pool,
    plans: HashMap<PlanKey, Plan>,
    words: WordBuffers,
    rows: Option<RowProvider>,
    last_logits: Option<Tensor>,
}

/// What [`Resources`] a plan is built from.
struct View<'a> {
    weights: &'a Weights,
    cache: &'a KvCache,
    words: &'a WordBuffers,
    banned: &'a [(String, &'static str)],
}

impl Resources for View<'_> {
    fn weights(&self) -> &Weights {
        self.weights
    }

    fn cache(&self, layer: usize, half: Half) -> Option<Cache> {
        self.cache.operand(layer, half)
    }

    fn words(&self, words: Words) -> Slice {
        let buffer = match words {
            Words::ChunkIds => &self.words.chunk_ids,
            Words::ChunkState => &self.words.chunk_state,
            Words::StepId => &self.words.step_id,
            Words::StepState => &self.words.step_state,
        };
        buffer.whole()
    }

    fn banned(&self) -> &[(String, &'static str)] {
        self.banned
    }
}

/// Tokens that a step of `n` is padded to, so that few shapes are built.
pub(crate) fn padded(n: u32) -> u32 {
    match n {
        0..=1 => 1,
        2..=8 => 8,
        9..=64 => n.next_multiple_of(16),
        _ => n.next_multiple_of(64).min(MAX_CHUNK),
    }
}

impl Runner {
    pub async fn new(engine: Engine) -> Result<Self, Error> {
        let inner = &engine.0;
        let cache = KvCache::new(&inner.device, &inner.config, cache_shape(inner.kv, inner.config.context)).await?;
        let words = WordBuffers::new(&inner.device, inner.config.suppress.len()).await?;
        let rows = inner.streamed.clone().map(|table| RowProvider::new(inner.source.clone(), table, inner.config.per_layer));
        Ok(Runner { cache, pool: Pool::default(), plans: HashMap::new(), words, rows, last_logits: None, engine })
    }

    pub fn device(&self) -> &Device {
        &self.engine.0.device
    }

    /// Rows come from the host: no step can be queued before its token is known.
    pub fn streamed(&self) -> bool {
        self.rows.is_some()
    }

    /// Bytes of caches and activations.
    pub fn bytes(&self) -> u64 {
        self.cache.bytes() + self.pool.bytes()
    }

    /// Makes room in the caches for positions below `end`; stale recordings are dropped.
    pub async fn reserve(&mut self, end: u32) -> Result<(), Error> {
        if self.cache.reserve(&self.engine.0.device, end).await? {
            self.plans.clear();
        }
        Ok(())
    }

    /// The plan of a shape, built on first use.
    async fn plan(&mut self, shape: Shape, sampler: Option<SampleMode>) -> Result<&Plan, Error> {
        let key = (shape, sampler);
        if !self.plans.contains_key(&key) {
            let inner = &self.engine.0;
            if let Some(mode) = sampler {
                inner.test_sampler(mode).await?;
            }
            let graph = gemma4::forward(&inner.config, &inner.specs, &inner.scales, shape);
            let view = View { weights: &inner.weights, cache: &self.cache, words: &self.words, banned: &inner.banned };
            let words = &self.words;
            let device = &inner.device;
            let vocab = inner.config.vocab;
            let record =
                |recorder: &mut Recorder, outputs: &HashMap<String, Tensor>, scratch: Option<Slice>| match (sampler, outputs.get("logits"))
                {
                    (Some(mode), Some(logits)) => {
                        let mut context = Context { recorder, caps: device.caps(), variant: None, banned: &inner.banned, scratch };
                        Sample { vocab, mode }.record(&mut context, &sample_operands(words, logits))
                    }
                    _ => Ok(()),
                };
            let scratch = sampler.map_or(0, |mode| {
                let logits = Tensor { slice: words.results.whole(), rows: 1, cols: vocab, stride: vocab, offset: 0 };
                Sample { vocab, mode }.scratch(device.caps(), &sample_operands(words, &logits))
            });
            let plan = Plan::build(device, &graph, &view, &mut self.pool, &Then { record: &record, scratch }).await?;
            self.plans.insert(key, plan);
        }
        Ok(&self.plans[&key])
    }

    fn shape(&self, tokens: u32, rows: Rows, decode: bool, taps: bool) -> Shape {
        Shape { tokens, rows, decode, resident: self.rows.is_none(), taps }
    }

    /// Builds what a piece of a prompt needs, so that running it takes only the GPU's time.
    pub async fn prepare(&mut self, count: u32, position: u32, rows: Rows, sampler: Option<SampleMode>) -> Result<(), Error> {
        self.reserve(position + count).await?;
        self.plan(self.shape(padded(count), rows, false, false), sampler).await.map(|_| ())
    }

    /// Runs a piece of a prompt, `ids.len() <= MAX_CHUNK`, from `position` on.
    pub async fn chunk(&mut self, ids: &[u32], position: u32, rows: Rows, sampler: Option<SampleMode>, taps: bool) -> Result<&Plan, Error> {
        let count = ids.len() as u32;
        self.reserve(position + count).await?;
        let shape = self.shape(padded(count), rows, false, taps);
        let state = StepState { position, tokens: count, ..Default::default() };
        let step = StepState { position: position + count - 1, tokens: 1, ..Default::default() };
        let mut padded_ids = ids.to_vec();
        padded_ids.resize(shape.tokens as usize, 0);
        self.fill_rows(shape, sampler, ids).await?;
        self.cache.note_written(position + count);
        let (device, words) = (&self.engine.0.device, &self.words);
        device.write(&words.chunk_ids, 0, bytemuck::cast_slice(&padded_ids));
        device.write(&words.chunk_state, 0, bytemuck::bytes_of(&state));
        device.write(&words.step_state, 0, bytemuck::bytes_of(&step));
        let device = device.clone();
        self.submit(&device, shape, sampler).await
    }

    /// Runs the next token: the one in `StepId`, at the position in `StepState`; with streamed
    /// rows, `id` names it. The caller has reserved its position.
    pub async fn step(&mut self, id: Option<u32>, position: u32, sampler: Option<SampleMode>) -> Result<&Plan, Error> {
        let shape = self.shape(1, Rows::Last, true, false);
        self.cache.note_written(position + 1);
        if let Some(id) = id {
            self.fill_rows(shape, sampler, &[id]).await?;
        }
        let device = self.engine.0.device.clone();
        self.submit(&device, shape, sampler).await
    }

    async fn submit(&mut self, device: &Device, shape: Shape, sampler: Option<SampleMode>) -> Result<&Plan, Error> {
        self.plan(shape, sampler).await?;
        let plan = &self.plans[&(shape, sampler)];
        device.submit(&plan.recording);
        self.last_logits = plan.output("logits").cloned();
        Ok(plan)
    }

    /// Writes the per-layer rows that a step reads from the host: of each token the layers that
    /// run for it, and the rest for the rows whose logits are wanted.
    async fn fill_rows(&mut self, shape: Shape, sampler: Option<SampleMode>, ids: &[u32]) -> Result<(), Error> {
        let Some(mut provider) = self.rows.take() else { return Ok(()) };
        let result = self.fill_rows_from(&mut provider, shape, sampler, ids).await;
        self.rows = Some(provider);
        result
    }

    async fn fill_rows_from(
        &mut self,
        provider: &mut RowProvider,
        shape: Shape,
        sampler: Option<SampleMode>,
        ids: &[u32],
    ) -> Result<(), Error> {
        let config = &self.engine.0.config;
        let (own, all) = (config.own_layers() * config.per_layer as usize, config.layers.len() * config.per_layer as usize);
        let wanted: &[u32] = match shape.rows {
            Rows::None => &[],
            Rows::Last => &ids[ids.len() - 1..],
            Rows::All => ids,
        };
        // Whole rows where every layer runs; of the others only the layers that do.
        let whole = provider.rows(wanted, all).await?;
        let partial = provider.rows(&ids[..ids.len() - wanted.len()], own).await?;
        let mut first = partial;
        first.extend(whole.chunks_exact(all).flat_map(|row| &row[..own]));
        let rest: Vec<f32> = whole.chunks_exact(all).flat_map(|row| row[own..].to_vec()).collect();
        let device = self.engine.0.device.clone();
        let plan = self.plan(shape, sampler).await?;
        for (input, values) in [(Input::PerLayerOwn, first), (Input::PerLayerShared, rest)] {
            if let (Some(slice), false) = (plan.input(input), values.is_empty()) {
                device.write(&slice.buffer, slice.offset, bytemuck::cast_slice(&values));
            }
        }
        Ok(())
    }

    /// Settings for the sampler, until they are set again.
    pub fn set_sampling(&self, settings: &SampleSettings, bias: &[(u32, f32)]) {
        let device = self.device();
        device.write(&self.words.settings, 0, bytemuck::bytes_of(settings));
        device.write(&self.words.bias, 0, bytemuck::cast_slice(&bias_words(bias)));
    }

    /// The last tokens before sampling starts, for penalties.
    pub fn set_history(&self, tokens: &[u32]) {
        let mut ring = vec![0u32; HISTORY];
        let first = tokens.len().saturating_sub(HISTORY);
        for (position, id) in tokens.iter().enumerate().skip(first) {
            ring[position % HISTORY] = *id;
        }
        self.device().write(&self.words.history, 0, bytemuck::cast_slice(&ring));
    }

    /// The next token, chosen by the host.
    pub fn set_step(&self, id: u32, position: u32) {
        let state = StepState { position, tokens: 1, ..Default::default() };
        self.device().write(&self.words.step_id, 0, &id.to_le_bytes());
        self.device().write(&self.words.step_state, 0, bytemuck::bytes_of(&state));
    }

    pub fn results(&self) -> &Buffer {
        &self.words.results
    }

    /// The logits that the last step left, unmodified.
    pub async fn logits(&self) -> Result<Vec<f32>, Error> {
        match &self.last_logits {
            Some(tensor) => self.read(tensor, 1).await,
            None => Ok(Vec::new()),
        }
    }

    /// Reads a tensor that a plan left.
    pub async fn read(&self, tensor: &Tensor, rows: u32) -> Result<Vec<f32>, Error> {
        let len = u64::from(rows) * u64::from(tensor.cols) * 4;
        let bytes = self.device().read(&tensor.slice.buffer, tensor.slice.offset, len).await?;
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }
}

fn sample_operands(words: &WordBuffers, logits: &Tensor) -> Vec<Operand> {
    let others = [&words.settings, &words.bias, &words.history, &words.step_state, &words.step_id, &words.results];
    std::iter::once(Operand::Tensor(logits.clone())).chain(others.map(|b| Operand::Words(b.whole()))).collect()
}
