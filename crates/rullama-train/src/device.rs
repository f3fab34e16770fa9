//! The device side of training: what is trained and what is kept of it, recordings of steps, and the words they read.

use crate::graph::{self, Keep, StepShape};
use crate::memory::Ground;
use crate::terms::{PREFIX, matrices_of};
use crate::trainer::Base;
use crate::{TrainError, TrainOptions, init, memory};
use rullama_adapter::Adapter;
use rullama_gpu::{KernelTime, Readback, Slice};
use rullama_model::Loaded;
use rullama_model::arena::{Arena, Layout};
use rullama_model::lora::Terms;
use rullama_model::lower::{For, lower};
use rullama_model::plan::{Plan, Pool, Resources};
use rullama_model::weights::Weights;
use rullama_model::words::WordBuffers;
use rullama_ops::{Cache, Half, Part, Tensor, Words};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Recordings that are kept, of the shapes that ran last.
pub(crate) const PLANS: usize = 8;

/// Names of flat arenas in the optimizer's graph begin so.
pub const FLAT: &str = "arena ";

/// Values of the trained matrices by name.
pub type Matrices = BTreeMap<String, Vec<f32>>;

/// A packed row as a step takes it: for each token its id and where its example starts, and for each target the row that predicts it,
/// its id and its weight in the loss.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepRow {
    pub ids: Vec<u32>,
    pub starts: Vec<u32>,
    pub rows: Vec<u32>,
    pub targets: Vec<u32>,
    pub weight: f32,
}

/// A model's trained terms on its device.
pub struct OnDevice {
    pub loaded: Arc<Loaded>,
    pub terms: Terms,
    /// How much of a forward pass is kept for the backward pass.
    pub keep: Keep,
    /// Bytes that a value may have, where fewer than the adapter binds.
    pub most: u64,
    parts: HashMap<Part, Arena>,
    words: WordBuffers,
    longest: StepShape,
    /// With the tick of their last use.
    plans: HashMap<StepShape, (Plan, u64)>,
    tick: u64,
    /// Activations of its own: larger by far than an answer's, and gone with it.
    pool: Pool,
    pub(crate) optimizer: Option<Plan>,
    fences: Vec<Readback>,
}

/// Shapes of the matrices of all terms.
pub(crate) fn shapes(terms: &Terms) -> impl Iterator<Item = (String, u32, u32)> + '_ {
    terms.iter().flat_map(|(key, term)| {
        let (rank, inputs) = (term.rank, term.inputs);
        let a = if key == rullama_model::lora::EMBEDDING { (inputs, rank) } else { (rank, inputs) };
        [(term.a(), a.0, a.1), (term.b(), term.outputs, rank)]
    })
}

/// The words that a step reads, and how many of each.
pub(crate) fn word_sizes(longest: StepShape) -> [(Words, usize); 5] {
    let (tokens, targets) = (longest.tokens as usize, longest.targets as usize);
    [(Words::ChunkIds, tokens), (Words::Starts, tokens), (Words::TargetRows, targets), (Words::Targets, 2 * targets), (Words::Chance, 4)]
}

/// What the graph's values stand for.
struct View<'a> {
    weights: &'a Weights,
    words: &'a WordBuffers,
    /// Where rows are that come from the file.
    places: Option<Slice>,
    parts: &'a HashMap<Part, Arena>,
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
        if words == Words::RowPlaces { self.places.clone() } else { self.words.slice(words) }
    }

    fn trained(&self, name: &str, part: Part) -> Option<Tensor> {
        let arena = self.parts.get(&part)?;
        match name.strip_prefix(FLAT) {
            Some(index) => arena.flat(index.parse().ok()?),
            None => arena.tensor(name),
        }
    }

    fn banned(&self) -> &[(String, &'static str)] {
        self.banned
    }
}

impl OnDevice {
    /// Room for the terms, and for steps of at most `longest`.
    ///
    /// # Errors
    /// Too little GPU memory; a lost device.
    pub async fn new(loaded: Arc<Loaded>, terms: Terms, longest: StepShape, keep: Keep) -> Result<Self, TrainError> {
        let device = &loaded.device;
        let caps = device.caps();
        let layout = Layout::new(shapes(&terms), caps.offset_alignment, caps.max_binding);
        let mut parts = HashMap::new();
        for part in [Part::Value, Part::Gradient, Part::Mean, Part::Variance] {
            parts.insert(part, Arena::new(device, &format!("{part:?}"), layout.clone()).await?);
        }
        let words = WordBuffers::new(device, &word_sizes(longest)).await?;
        // The longest step first, so that shorter ones find room where it has its own.
        let (mut pool, ground) = (Pool::default(), Ground::from(&*loaded));
        let graph = lower(graph::step(&ground, &terms, longest, keep)?, For::Look, loaded.model.specs());
        pool.reserve(device, &graph, memory::scratch(&graph, caps)).await?;
        let most = device.caps().max_binding;
        let (plans, tick, fences) = Default::default();
        Ok(OnDevice { loaded, terms, keep, most, parts, words, longest, plans, tick, pool, optimizer: None, fences })
    }

    /// Room for a new adapter, with its first values, and for steps of at most `longest`.
    ///
    /// # Errors
    /// More memory than there may be; no chosen layer in the model; a lost device.
    pub async fn fresh(base: &Base, options: &TrainOptions, longest: StepShape) -> Result<Self, TrainError> {
        let adapter = init::adapter(&*base.loaded.model, options, &base.name)?;
        Self::of(base, &adapter, options, longest).await
    }

    /// As [`fresh`](Self::fresh), for an adapter that is there.
    ///
    /// # Errors
    /// As there.
    pub async fn of(base: &Base, adapter: &Adapter, options: &TrainOptions, longest: StepShape) -> Result<Self, TrainError> {
        let terms = memory::terms(adapter, options.dropout as f32);
        let keep = memory::choose(base, &terms, longest, options.activations)?;
        let device = Self::new(base.loaded.clone(), terms, longest, keep).await?;
        device.write(Part::Value, &matrices_of(adapter, PREFIX));
        Ok(device)
    }

    fn arena(&self, part: Part) -> &Arena {
        &self.parts[&part]
    }

    /// Writes matrices, by name.
    pub fn write(&self, part: Part, matrices: &Matrices) {
        for (name, values) in matrices {
            self.arena(part).write(&self.loaded.device, name, values);
        }
    }

    /// Reads all matrices.
    ///
    /// # Errors
    /// A lost device.
    pub async fn read(&self, part: Part) -> Result<Matrices, TrainError> {
        Ok(self.arena(part).read(&self.loaded.device).await?)
    }

    /// Shapes of the matrices, by name.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, u32, u32)> {
        self.arena(Part::Value).layout().matrices()
    }

    /// Values of each flat row that the matrices lie in.
    pub(crate) fn flats(&self) -> &[u64] {
        self.arena(Part::Value).layout().flats()
    }

    /// Sets all gradients to zero.
    pub fn clear_gradients(&self) {
        self.arena(Part::Gradient).clear(&self.loaded.device);
    }

    /// The shape of a row's step: padded, so that few recordings are built.
    fn shape(&self, row: &StepRow, train: bool) -> StepShape {
        let padded = |n: usize, most: u32| (n.max(1) as u32).next_multiple_of(if n > 256 { 64 } else { 32 }).min(most);
        StepShape { tokens: padded(row.ids.len(), self.longest.tokens), targets: padded(row.rows.len(), self.longest.targets), train }
    }

    /// Runs a row forward, and with `train` backward, which adds to the gradients. Gives `-ln p` of each target. `chance` is the seed
    /// (low and high word) and the number of the row, for dropout.
    ///
    /// # Errors
    /// A row that is longer than what room was made for; a lost device; `cancelled`.
    pub async fn run(
        &mut self,
        row: &StepRow,
        train: bool,
        chance: [u32; 3],
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<f64>, TrainError> {
        let shape = self.shape(row, train);
        let loaded = self.loaded.clone();
        let _turn = loaded.turn.lock().await;
        self.prepare(shape).await?;
        self.feed(row, shape, chance).await?;
        let plan = &self.plans[&shape].0;
        loaded.run_parts(plan, &mut self.fences, (shape.tokens, shape.tokens), cancelled).await?;
        let stats = plan.output("loss").ok_or(TrainError::Internal("a step without a loss"))?;
        let stats = loaded.read_rows(stats, row.rows.len() as u32).await?;
        Ok(stats.chunks_exact(4).map(|s| f64::from(s[0]) + f64::from(s[1]).ln() - f64::from(s[2])).collect())
    }

    /// Puts a row's data where its step reads them, as [`run`](Self::run) does first: streamed rows of its tokens, and its words.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn data(&self, row: &StepRow) -> Result<(), TrainError> {
        let loaded = self.loaded.clone();
        let _turn = loaded.turn.lock().await;
        self.feed(row, self.shape(row, true), [0; 3]).await
    }

    async fn feed(&self, row: &StepRow, shape: StepShape, chance: [u32; 3]) -> Result<(), TrainError> {
        let (tokens, count) = (row.ids.len(), row.rows.len());
        if tokens > shape.tokens as usize || count > shape.targets as usize {
            return Err(TrainError::TooLong { tokens, most: self.longest.tokens });
        }
        let loaded = &self.loaded;
        loaded.bring_rows(&row.ids).await?;
        let padded = |words: &[u32], len: u32, with: u32| {
            let mut words = words.to_vec();
            words.resize(len as usize, with);
            words
        };
        let mut targets = padded(&row.targets, shape.targets, 0);
        targets.extend(padded(&vec![row.weight.to_bits(); count], shape.targets, 0));
        let write = |kind, words: &[u32]| self.words.write(&loaded.device, kind, bytemuck::cast_slice(words));
        write(Words::ChunkIds, &padded(&row.ids, shape.tokens, 0));
        write(Words::Starts, &padded(&row.starts, shape.tokens, u32::MAX));
        write(Words::TargetRows, &padded(&row.rows, shape.targets, u32::MAX));
        write(Words::Targets, &targets);
        write(Words::Chance, &[chance[0], chance[1], chance[2], 0]);
        Ok(())
    }

    /// Makes the recording of a shape, unless it is there, in place of the one that was not used for longest where there are many.
    async fn prepare(&mut self, shape: StepShape) -> Result<(), TrainError> {
        self.tick += 1;
        if !self.plans.contains_key(&shape) {
            if self.plans.len() >= PLANS {
                let oldest = self.plans.iter().min_by_key(|(_, (_, used))| *used).map(|(shape, _)| *shape);
                oldest.and_then(|shape| self.plans.remove(&shape));
            }
            let ground = Ground { most: self.most, longest: Some(self.longest), ..Ground::from(&*self.loaded) };
            let graph = graph::step(&ground, &self.terms, shape, self.keep)?;
            let plan = self.plan(graph).await?;
            self.plans.insert(shape, (plan, 0));
        }
        let now = self.tick;
        self.plans.entry(shape).and_modify(|(_, used)| *used = now);
        Ok(())
    }

    /// Dispatches of a row's step.
    pub fn dispatches(&self, row: &StepRow) -> usize {
        self.plans.get(&self.shape(row, true)).map_or(0, |(plan, _)| plan.recording.dispatches())
    }

    /// Runs a row's step once more, timing every kernel.
    ///
    /// # Errors
    /// A lost device.
    pub async fn profile(&mut self, row: &StepRow) -> Result<Vec<KernelTime>, TrainError> {
        let (loaded, shape) = (self.loaded.clone(), self.shape(row, true));
        let _turn = loaded.turn.lock().await;
        self.prepare(shape).await?;
        Ok(loaded.device.profile(&self.plans[&shape].0.recording).await?)
    }

    pub(crate) async fn plan(&mut self, graph: rullama_ops::Graph) -> Result<Plan, TrainError> {
        let graph = self.loaded.lowered(graph, For::Look).await?;
        let banned = self.loaded.banned().await;
        let places = self.loaded.row_places();
        let view = View { weights: &self.loaded.weights, words: &self.words, places, parts: &self.parts, banned: &banned };
        Ok(Plan::build(&self.loaded.device, &graph, &view, &mut self.pool).await?)
    }
}
