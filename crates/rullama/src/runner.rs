//! The device side of a session: plans, the words that host and kernels share, and the caches.

use crate::ahead::Ahead;
use crate::drafting::Drafting;
use crate::engine::Engine;
use crate::format::Constraint;
use crate::options::Cancel;
use crate::plans::{PlanKey, Plans};
use crate::prompt::{PromptStep, SoftRows};
use crate::speculation::{Gains, ROWS};
use crate::{Error, words};
use rullama_gpu::{Buffer, Device, Readback};
use rullama_model::Loaded;
use rullama_model::attached::Attached;
use rullama_model::kv_cache::{CacheShape, KvCache};
use rullama_model::model::{Facts, Rows, SOFT_ROWS, Shape};
use rullama_model::pace::{MAX_BLOCK, MAX_CHUNK};
use rullama_model::plan::Plan;
use rullama_model::words::WordBuffers;
use rullama_ops::sample::{SampleMode, SampleSettings};
use rullama_ops::{KvType, StepState, Words};
use web_time::Instant;

/// Rewinding that a ring serves without computing anew, queued steps included.
const SLACK: u32 = 256;

/// The caches that a session makes.
pub fn cache_shape(kv: KvType, context: u32) -> CacheShape {
    CacheShape { kv, chunk: MAX_CHUNK, slack: SLACK, context }
}

/// Tokens of the longest step: of a model whose pictures are seen in one, that of the largest.
pub(crate) fn longest_step(facts: &Facts) -> u32 {
    if facts.blocks { MAX_BLOCK } else { MAX_CHUNK }
}

/// Plans, caches and shared words of one sequence.
pub(crate) struct Runner {
    pub engine: Engine,
    pub cache: KvCache,
    pub plans: Plans,
    pub words: WordBuffers,
    attached: Attached,
    /// Where the next token to be computed stands: every step goes on from here.
    position: u32,
    /// Logits of the last step without a sampler.
    logits: Vec<f32>,
    fences: Vec<Readback>,
    /// What drafts brought so far.
    pub gains: Gains,
    /// How often rows were there so far.
    pub ahead: Ahead,
    /// Where the engine has a drafter.
    drafting: Option<Drafting>,
}

/// Tokens that a step of `n` is padded to, so that few shapes are built.
fn padded(n: u32) -> u32 {
    match n {
        0..=1 => 1,
        2..=8 => 8,
        9..=64 => n.next_multiple_of(16),
        _ => n.next_multiple_of(64),
    }
}

/// Whether a step whose last key is at `end - 1` is little enough to be submitted as a whole.
fn is_whole(plan: &Plan, end: u32, loaded: &Loaded) -> bool {
    let all = plan.recording.len();
    plan.part((0, all), end, loaded.pace.submission()).0.end == all
}

/// A piece of a prompt to run.
pub(crate) struct Chunk<'a> {
    /// At most [`longest_step`].
    pub step: &'a PromptStep,
    pub rows: Rows,
    /// Draws from the last row's logits.
    pub sampler: Option<SampleMode>,
    /// Keep the hidden states.
    pub taps: bool,
}

/// Writes the tokens of a step that is padded to `tokens`, where they stand, and what the rows whose logits are wanted go on with.
fn write_step(device: &Device, words: &WordBuffers, ids: &[u32], tokens: u32, (position, step): (u32, StepState)) {
    let state = StepState { position, tokens: ids.len() as u32, ..Default::default() };
    let mut padded = ids.to_vec();
    padded.resize(tokens as usize, 0);
    words.write(device, Words::ChunkIds, bytemuck::cast_slice(&padded));
    words.write(device, Words::ChunkState, bytemuck::bytes_of(&state));
    words.write(device, Words::StepState, bytemuck::bytes_of(&step));
}

/// Writes the soft tokens of a step that is padded to `tokens`.
fn write_soft(device: &Device, words: &WordBuffers, plan: &Plan, soft: &SoftRows, tokens: usize) {
    let (mut places, mut ends) = (soft.places.clone(), soft.ends.clone());
    places.resize(tokens, u32::MAX);
    ends.resize(tokens, soft.ends.last().copied().unwrap_or_default());
    words.write(device, Words::SoftPlaces, bytemuck::cast_slice(&places));
    words.write(device, Words::BlockEnds, bytemuck::cast_slice(&ends));
    if let Some(slice) = plan.input(SOFT_ROWS) {
        device.write(&slice.buffer, slice.offset, bytemuck::cast_slice(&soft.rows));
    }
}

/// Outputs that were read back, each `[tokens, cols]`, by name.
pub(crate) type Read = Vec<(String, Vec<f32>)>;

impl Runner {
    pub async fn new(engine: Engine) -> Result<Self, Error> {
        let loaded = &engine.0.loaded;
        let shape = cache_shape(loaded.choice.kv, loaded.choice.context);
        let cache = KvCache::new(&loaded.device, &loaded.model.caches(), shape).await?;
        let facts = loaded.model.facts();
        let words = WordBuffers::new(&loaded.device, &words::sizes(longest_step(facts), facts.suppress.len(), facts.vocab)).await?;
        Ok(Runner {
            cache,
            plans: Plans::default(),
            words,
            attached: Attached::default(),
            position: 0,
            logits: Vec::new(),
            fences: Vec::new(),
            gains: Gains::default(),
            ahead: Ahead::default(),
            drafting: if engine.0.drafter.is_some() { Some(Drafting::new(loaded).await?) } else { None },
            engine,
        })
    }

    pub fn device(&self) -> &Device {
        &self.engine.0.loaded.device
    }

    /// Steps that may be queued ahead of their tokens in each of two groups, as many as one likes where nothing is streamed; `None` where a
    /// step waits for its token: experts come from the host, or too many rows.
    pub fn steps_ahead(&self) -> Option<usize> {
        let loaded = &self.engine.0.loaded;
        match (loaded.streams_experts(), loaded.streams()) {
            (true, _) => None,
            (_, true) => self.ahead.steps(),
            _ => Some(usize::MAX),
        }
    }

    /// Rows are brought as tokens need them.
    pub fn streams_rows(&self) -> bool {
        self.engine.0.loaded.streams()
    }

    /// Learns whether the row of a token is there, which a step that was queued at that time of the rows got, if one did. Gives whether what
    /// was queued holds; else these steps are lost.
    pub async fn holds(&mut self, id: u32, queued: Option<u64>, steps: usize) -> bool {
        if !self.streams_rows() {
            return true;
        }
        let loaded = &self.engine.0.loaded;
        let there = match queued {
            Some(rows) => loaded.had_row(id, rows).await,
            None => loaded.has_row(id).await,
        };
        self.ahead.learn(there);
        let holds = there || queued.is_none();
        if !holds {
            loaded.note_void_steps(steps).await;
        }
        holds
    }

    /// Where the next token to be computed stands.
    pub fn position(&self) -> u32 {
        self.position
    }

    /// Goes back, or to what was restored. Whether the caches still hold what stands before is for the caller to ask
    /// ([`KvCache::can_rewind`]).
    pub fn set_position(&mut self, position: u32) {
        self.position = position;
    }

    /// What the next steps add to the weights; stale recordings are dropped.
    pub fn attach(&mut self, attached: Attached) {
        self.attached = attached;
        self.plans.clear();
    }

    pub fn attached(&self) -> &Attached {
        &self.attached
    }

    /// Makes room in the caches for positions below `end`; stale recordings are dropped.
    pub async fn reserve(&mut self, end: u32) -> Result<(), Error> {
        self.reserve_step(end, 0).await
    }

    /// The same, and for steps of `step` tokens.
    pub async fn reserve_step(&mut self, end: u32, step: u32) -> Result<(), Error> {
        if self.cache.reserve(&self.engine.0.loaded.device, end, step).await? {
            self.plans.clear();
            self.drafting.iter_mut().for_each(Drafting::clear);
        }
        Ok(())
    }

    /// A step's shape; what a drafter goes on from is kept.
    fn shape(&self, tokens: u32, rows: Rows, decode: bool, taps: bool) -> Shape {
        Shape { hidden: self.drafting.is_some(), ..self.engine.0.loaded.shape(tokens, rows, decode, taps) }
    }

    /// Whether the drafter, if there is one, has what it needs to go on behind the next token.
    pub fn can_draft(&self) -> bool {
        self.drafting.as_ref().is_some_and(|drafting| drafting.can_draft(self.position))
    }

    /// Queues what the drafter guesses behind `id`, which is the next token to be computed.
    pub async fn queue_drafts(&mut self, id: u32, count: usize) -> Result<(), Error> {
        let inner = &self.engine.0;
        let (Some(drafting), Some(drafter)) = (&mut self.drafting, &inner.drafter) else { return Ok(()) };
        drafting.queue((&inner.loaded, drafter), &self.cache, (id, self.position), count).await
    }

    /// The drafts that were queued.
    pub async fn drafted(&mut self) -> Result<Vec<u32>, Error> {
        let Some(drafting) = &mut self.drafting else { return Ok(Vec::new()) };
        drafting.drawn(&self.engine.0.loaded.device).await
    }

    /// Tokens of the next piece of a prompt.
    pub fn chunk_tokens(&self) -> usize {
        self.engine.0.loaded.chunk(self.position) as usize
    }

    /// Runs a piece of a prompt from the present position on, in parts between which it can be cancelled, and reads the outputs
    /// named `read`. The position moves on only where all of it has run.
    pub async fn chunk(&mut self, chunk: Chunk<'_>, cancel: &Cancel, read: &[String]) -> Result<Read, Error> {
        let (count, position) = (chunk.step.ids.len() as u32, self.position);
        self.reserve_step(position + count, padded(count)).await?;
        let shape = Shape { soft: chunk.step.soft.is_some(), ..self.shape(padded(count), chunk.rows, false, chunk.taps) };
        let loaded = &self.engine.0.loaded;
        let mut turn = loaded.turn.lock().await;
        let plan = self.plans.get(loaded, &mut turn, (&self.cache, &self.words, &self.attached), (shape, chunk.sampler)).await?;
        loaded.bring_rows(&chunk.step.ids).await?;
        self.cache.note_written(position + count);
        if let Some(soft) = &chunk.step.soft {
            write_soft(&loaded.device, &self.words, plan, soft, shape.tokens as usize);
        }
        let step = StepState { position: position + count - 1, tokens: 1, ..Default::default() };
        write_step(&loaded.device, &self.words, &chunk.step.ids, shape.tokens, (position, step));
        loaded.run_step(plan, &mut self.fences, (position + count, shape.tokens, count), &|| cancel.is_cancelled()).await?;
        if let (Some(drafting), Rows::Last) = (&mut self.drafting, chunk.rows) {
            drafting.keep(&loaded.device, plan, position + count - 1..position + count);
        }
        let mut outputs = Vec::new();
        for name in read {
            if let Some(tensor) = plan.output(name) {
                outputs.push((name.clone(), loaded.read_rows(tensor, count).await?));
            }
        }
        if let (Rows::Last, None, Some(logits)) = (chunk.rows, chunk.sampler, plan.output("logits")) {
            self.logits = loaded.read_rows(logits, 1).await?;
        }
        self.position = position + count;
        Ok(outputs)
    }

    /// Queues `steps` decode steps: the first takes the token in `StepId`, each next one what was drawn. The caller has reserved
    /// their positions. `id` is the first one's token where that is known, so that its row is there. Gives the time of the rows that are.
    pub async fn steps(&mut self, steps: usize, id: Option<u32>, sampler: Option<SampleMode>) -> Result<u64, Error> {
        let key = (self.shape(1, Rows::Last, true, false), sampler);
        let loaded = &self.engine.0.loaded;
        let mut turn = loaded.turn.lock().await;
        let plan = self.plans.get(loaded, &mut turn, (&self.cache, &self.words, &self.attached), key).await?;
        let (all, logits) = (plan.recording.len(), plan.output("logits").cloned());
        let rows = loaded.bring_rows(id.as_slice()).await?;
        self.cache.note_written(self.position + steps as u32);
        match self.plans.take_ahead(key, all).filter(|_| steps == 1) {
            Some(encoded) => {
                loaded.device.submit_encoded(encoded);
            }
            None => loaded.run_decode(&self.plans.known[&key], steps).await?,
        }
        self.position += steps as u32;
        if let Some(drafting) = &mut self.drafting {
            drafting.keep(&loaded.device, &self.plans.known[&key], self.position - 1..self.position);
        }
        if let (None, Some(logits)) = (sampler, logits) {
            self.plans.make_ahead(loaded, key, all);
            self.logits = loaded.read_rows(&logits, 1).await?;
        }
        Ok(rows)
    }

    /// Makes the next decode step ready while one is under way that is waited for.
    pub fn encode_ahead(&mut self, sampler: SampleMode) {
        let key = (self.shape(1, Rows::Last, true, false), Some(sampler));
        let loaded = &self.engine.0.loaded;
        let end = self.plans.known.get(&key).map_or(0, |plan| plan.recording.len());
        self.plans.make_ahead(loaded, key, end);
    }

    /// Queues the decode step of token `id`, whose draw is among the tokens of a mask, which is made while the GPU computes their logits.
    /// Otherwise as [`steps`](Self::steps).
    pub async fn masked_step(&mut self, id: u32, sampler: SampleMode, constraint: &mut Constraint) -> Result<(), Error> {
        let key = (self.shape(1, Rows::Last, true, false), Some(sampler));
        let loaded = &self.engine.0.loaded;
        let mut turn = loaded.turn.lock().await;
        let plan = self.plans.get(loaded, &mut turn, (&self.cache, &self.words, &self.attached), key).await?;
        let (logits, draw) = plan.before_last();
        loaded.bring_rows(&[id]).await?;
        self.cache.note_written(self.position + 1);
        match self.plans.take_ahead(key, logits.end) {
            Some(encoded) => {
                loaded.device.submit_encoded(encoded);
            }
            None => loaded.run_until(&self.plans.known[&key], logits.end).await?,
        }
        self.position += 1;
        // The step is under way: it is finished with whatever mask there is.
        let made = constraint.mask().map(|mask| self.words.write(&loaded.device, Words::Mask, bytemuck::cast_slice(mask)));
        loaded.device.submit_part(&self.plans.known[&key].recording, draw);
        self.plans.make_ahead(loaded, key, logits.end);
        made
    }

    /// The tokens that the next draw is among, where the settings say so.
    pub fn set_mask(&self, mask: &[u32]) {
        self.words.write(self.device(), Words::Mask, bytemuck::cast_slice(mask));
    }

    /// The plan of a decode step, for those who measure it.
    pub async fn decode_plan(&mut self, sampler: SampleMode) -> Result<&Plan, Error> {
        let shape = self.shape(1, Rows::Last, true, false);
        let loaded = &self.engine.0.loaded;
        let mut turn = loaded.turn.lock().await;
        Ok(self.plans.get(loaded, &mut turn, (&self.cache, &self.words, &self.attached), (shape, Some(sampler))).await?)
    }

    /// The plan of a prompt's last chunk, likewise.
    pub async fn chunk_plan(&mut self, tokens: u32, sampler: SampleMode) -> Result<&Plan, Error> {
        let shape = self.shape(padded(tokens), Rows::Last, false, false);
        let loaded = &self.engine.0.loaded;
        let mut turn = loaded.turn.lock().await;
        Ok(self.plans.get(loaded, &mut turn, (&self.cache, &self.words, &self.attached), (shape, Some(sampler))).await?)
    }

    /// Settings for the sampler, until they are set again.
    pub fn set_sampling(&self, settings: &SampleSettings, bias: &[(u32, f32)]) {
        let bias = rullama_ops::sample::bias_words(bias);
        self.words.write(self.device(), Words::Settings, bytemuck::bytes_of(settings));
        self.words.write(self.device(), Words::Bias, bytemuck::cast_slice(&bias));
    }

    /// The last tokens before sampling starts, for penalties.
    pub fn set_history(&self, tokens: &[u32]) {
        let ring = words::history(tokens);
        self.words.write(self.device(), Words::History, bytemuck::cast_slice(&ring));
    }

    /// Runs the last token and a draft behind it from the present position on, and draws from the logits of each as the `sampled`-th draw
    /// and those after it. Neither position nor step move on: how many of the draws hold is for the caller to find. Gives when it began.
    /// `queued`: the draft is what the drafter was asked for, of which the host knows no id yet.
    pub async fn verify(&mut self, ids: &[u32], sampled: u32, sampler: SampleMode, queued: bool) -> Result<Instant, Error> {
        let (count, position) = (ids.len() as u32, self.position);
        let (rows, key) = self.verifying(count, sampler);
        self.reserve_step(position + count, rows).await?;
        let loaded = &self.engine.0.loaded;
        let mut turn = loaded.turn.lock().await;
        let plan = self.plans.get(loaded, &mut turn, (&self.cache, &self.words, &self.attached), key).await?;
        let started = Instant::now();
        loaded.bring_rows(ids).await?;
        self.cache.note_written(position + count);
        let step = StepState { position, tokens: 1, sampled, ..Default::default() };
        write_step(&loaded.device, &self.words, ids, rows, (position, step));
        if let (true, Some(drafting)) = (queued, &self.drafting) {
            drafting.fill(&loaded.device, self.words.buffer(Words::ChunkIds));
        }
        let (end, all) = (position + count, plan.recording.len());
        let whole = is_whole(plan, end, loaded);
        match self.plans.take_ahead(key, all).filter(|_| whole) {
            Some(encoded) => {
                loaded.device.submit_encoded(encoded);
            }
            None if whole => {
                loaded.device.submit(&self.plans.known[&key].recording);
            }
            None => loaded.run_step(&self.plans.known[&key], &mut self.fences, (end, rows, count), &|| false).await?,
        }
        if let Some(drafting) = &mut self.drafting {
            drafting.keep(&loaded.device, &self.plans.known[&key], position..end);
        }
        Ok(started)
    }

    /// Rows of the step that verifies drafts behind a token, `count` with it, and its plan.
    fn verifying(&self, count: u32, sampler: SampleMode) -> (u32, PlanKey) {
        let rows = ROWS.into_iter().find(|rows| *rows >= count).unwrap_or(count);
        (rows, (self.shape(rows, Rows::All, false, false), Some(sampler)))
    }

    /// Makes the next drafts and the step that verifies them ready while such of `count` tokens are under way and waited for.
    pub fn encode_round_ahead(&mut self, count: u32, sampler: SampleMode) {
        let (rows, key) = self.verifying(count, sampler);
        let loaded = &self.engine.0.loaded;
        if let Some(drafting) = &mut self.drafting {
            drafting.encode_ahead(&loaded.device, rows - 1);
        }
        let plan = self.plans.known.get(&key).filter(|plan| is_whole(plan, self.position + count, loaded));
        if let Some(end) = plan.map(|plan| plan.recording.len()) {
            self.plans.make_ahead(loaded, key, end);
        }
    }

    /// The next token, chosen by the host, and how many were drawn before the one behind it.
    pub fn set_step(&self, id: u32, sampled: u32) {
        let state = StepState { position: self.position, tokens: 1, sampled, ..Default::default() };
        self.words.write(self.device(), Words::StepId, &id.to_le_bytes());
        self.words.write(self.device(), Words::StepState, bytemuck::bytes_of(&state));
    }

    pub fn results(&self) -> &Buffer {
        self.words.buffer(Words::Results)
    }

    /// The logits that the last step without a sampler left, unmodified.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }
}
