//! A model on a device, without a session: what an engine, a trainer or a tower stands on.

use crate::ModelError;
use crate::experts::ExpertPools;
use crate::loader::Loader;
use crate::lora::Terms;
use crate::lower::{For, lower};
use crate::model::{Model, Rows, Shape};
use crate::pace::{MAX_BLOCK, MAX_CHUNK, Pace};
use crate::plan::Pool;
use crate::products::{InCodes, Products, mode};
use crate::rows::{self, RowCache};
use crate::selftest::SelfTest;
use crate::weights::{Specs, Table, WeightSpec, Weights, read_tables};
use async_lock::Mutex;
use rullama_gpu::{Device, GpuError};
use rullama_ops::graph::Node;
use rullama_ops::{Graph, KvType, LayerTail, Op, SampleMode, Type};
use rullama_source::ByteSource;
use rullama_source::gguf::TensorInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Whether the table that may be streamed goes to the GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residency {
    Always,
    /// Its rows are read as tokens need them.
    Never,
    /// As long as the GPU has room.
    IfItFits,
}

/// How many of each layer's experts have a place on the GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Experts {
    All,
    /// So many; others are read as tokens choose them.
    Pool(u32),
    /// All as long as the GPU has room, else so many.
    AllOrPool(u32),
}

/// How to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    pub kv: KvType,
    pub context: u32,
    pub residency: Residency,
    /// Bytes for rows of that table, where they are read as tokens need them: those of a chunk have places in any case.
    pub rows: u64,
    pub experts: Experts,
    /// Tokens of a prompt's chunk; `None` takes as many as the measured speed allows.
    pub chunk: Option<u32>,
    pub products: Products,
    /// Whether products in codes are known to be faster here, by an earlier measurement.
    pub faster: Option<bool>,
}

/// How far loading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Bytes of weights on the GPU.
    Weights { done: u64, total: u64 },
    /// Comparing kernels with references.
    SelfTest,
}

/// What runs a model: its weights on a device, its tables, the kernels that passed their test.
pub struct Loaded {
    pub device: Device,
    pub model: Arc<dyn Model>,
    pub source: Arc<dyn ByteSource>,
    pub weights: Weights,
    /// Small tables, on the host as well.
    pub tables: Vec<Table>,
    pub choice: Choice,
    /// Bytes of weights put on the GPU.
    pub loaded_bytes: u64,
    /// Tells this file's weights from others of the same shapes.
    pub identity: [u8; 32],
    pub pace: Pace,
    /// Which products are of codes; none where it is `None`.
    pub codes: Option<InCodes>,
    /// Whether they are faster, where that was measured now.
    pub measured: Option<bool>,
    /// Rows that are brought as tokens need them.
    pub(crate) rows: Option<RowCache>,
    /// Experts that are brought as they are chosen.
    pub(crate) experts: Option<Mutex<ExpertPools>>,
    /// The operations of the longest chunk.
    longest: Vec<(Arc<dyn Op>, Vec<Type>)>,
    /// Whose turn it is: one step runs at a time, and has all activations to itself.
    pub turn: Mutex<Pool>,
    test: Mutex<SelfTest>,
    /// Workgroups of a decode step that stay; none stays where it is 0.
    resident: AtomicU32,
}

impl Loaded {
    /// Puts a model's weights and tables on a device and tests the kernels that decoding and prompts use. `progress` ends the load
    /// when it gives false.
    ///
    /// # Errors
    /// What cannot be read, does not fit or computes wrongly; [`ModelError::Cancelled`].
    pub async fn load(
        device: Device,
        model: Arc<dyn Model>,
        source: Arc<dyn ByteSource>,
        choice: Choice,
        progress: &mut dyn FnMut(Stage) -> bool,
    ) -> Result<Loaded, ModelError> {
        let tables = tables(&*model, &*source, choice.context).await?;
        let (put, choice) = put_fitting(&device, &*model, &*source, &tables, choice, progress).await?;
        device.finish().await?;
        let identity = identity(model.specs(), &tables, put.samples)?;
        let pace = Pace::new(device.caps().software);
        let (loaded_bytes, weights, rows) = (put.bytes, put.weights, put.rows);
        let experts = choice.places().map(|places| Mutex::new(ExpertPools::new(places, model.facts().experts)));
        let (codes, measured) = choice.products.resolve(&device, &*model, &weights, choice.kv, choice.faster).await?;
        let (longest, turn, test, resident) = Default::default();
        let mut loaded = Loaded {
            device,
            model,
            source,
            weights,
            tables,
            choice,
            loaded_bytes,
            identity,
            pace,
            codes,
            measured,
            rows,
            experts,
            longest,
            turn,
            test,
            resident,
        };
        if !progress(Stage::SelfTest) {
            return Err(ModelError::Cancelled);
        }
        match loaded.test_usual().await {
            // A driver may get products of codes wrong alone.
            Err(ModelError::SelfTest { .. }) if choice.products == Products::Auto && loaded.codes.is_some() => {
                loaded.codes = None;
                loaded.test_usual().await?;
            }
            tested => tested?,
        }
        Ok(loaded)
    }

    /// Tests the kernels of the usual steps.
    async fn test_usual(&mut self) -> Result<(), ModelError> {
        for (shape, sampler) in self.usual_steps() {
            let graph = self.graph(shape, sampler, &Terms::default()).await?;
            if shape.tokens == MAX_CHUNK {
                let types = |node: &Node| node.inputs().map(|value| graph.of(value)).collect();
                self.longest = graph.nodes.iter().map(|node| (node.op.clone(), types(node))).collect();
            }
        }
        Ok(())
    }

    /// What keys and values depend on beside tokens: the weights, and what is rounded on the way to them.
    pub fn computation(&self) -> [u8; 32] {
        use sha2::{Digest, Sha256};
        match self.codes {
            None => self.identity,
            Some(InCodes { least }) => Sha256::new().chain_update(self.identity).chain_update(format!("codes {least}")).finalize().into(),
        }
    }

    /// Decoding, a short prompt, and both ends of the longer ones.
    fn usual_steps(&self) -> Vec<(Shape, Option<SampleMode>)> {
        let step = |tokens, decode| self.shape(tokens, Rows::Last, decode, false);
        let prompts = [1, 8, 16, MAX_CHUNK].map(|tokens| (step(tokens, false), None));
        [(step(1, true), Some(SampleMode::default()))].into_iter().chain(prompts).collect()
    }

    /// Tokens of a prompt's chunk from `position` on: those chosen, else as many as let no operation of it take too long.
    pub fn chunk(&self, position: u32) -> u32 {
        if let Some(chosen) = self.choice.chunk {
            return chosen;
        }
        let work = self.longest.iter().map(|(op, inputs)| op.work(inputs, position + MAX_CHUNK));
        self.pace.chunk(work.max().unwrap_or(0))
    }

    /// A step's shape on this load.
    pub fn shape(&self, tokens: u32, rows: Rows, decode: bool, taps: bool) -> Shape {
        let (pool, slots) = (self.choice.places().unwrap_or(0), self.row_slots());
        Shape { tokens, rows, decode, slots, taps, hidden: false, soft: false, packed: false, pool, kv: self.choice.kv }
    }

    /// Whether rows are read as tokens need them.
    pub fn streams(&self) -> bool {
        self.rows.is_some()
    }

    /// What runs for a shape: the model's algebra, the sampler behind it, lowered, with all its kernels tested. Of several rows of logits
    /// each is drawn from as if the draws before it stood in the text.
    ///
    /// # Errors
    /// Operands that do not fit together; an operation that no kernel computes rightly.
    pub async fn graph(&self, shape: Shape, sampler: Option<SampleMode>, terms: &Terms) -> Result<Graph, ModelError> {
        let mut graph = self.model.forward(shape, &self.tables, terms);
        if let (Some(mode), Some(logits)) = (sampler, graph.named("logits")) {
            graph.at("the sampler");
            let [rows, vocab] = [graph.rows(logits), graph.cols(logits)];
            for row in 0..rows {
                let logits = if rows == 1 { logits } else { graph.view(logits, (row, 0), (1, vocab)) };
                graph.sample(logits, mode);
            }
        }
        let resident = self.resident().filter(|_| shape.decode);
        self.lowered(graph.checked()?, mode(self.codes, resident, shape.taps)).await
    }

    /// What runs for a graph of this model, with all its kernels tested.
    ///
    /// # Errors
    /// An operation that no kernel computes rightly.
    pub async fn lowered(&self, graph: Graph, mode: For) -> Result<Graph, ModelError> {
        self.lowered_for(graph, mode, self.model.specs()).await
    }

    /// The same for a graph over other weights on this device, such as a tower's.
    ///
    /// # Errors
    /// As [`lowered`](Self::lowered).
    pub async fn lowered_for(&self, graph: Graph, mode: For, specs: &Specs) -> Result<Graph, ModelError> {
        let graph = lower(graph, mode, specs);
        self.test.lock().await.test(&self.device, &graph).await?;
        Ok(graph)
    }

    /// Workgroups of a decode step that stay and wait for each other, where any do ([`LayerTail`]).
    pub fn resident(&self) -> Option<u32> {
        Some(self.resident.load(Ordering::Relaxed)).filter(|workgroups| *workgroups > 0)
    }

    /// Has decode steps that are built from now on keep so many.
    pub fn set_resident(&self, workgroups: Option<u32>) {
        self.resident.store(workgroups.unwrap_or(0), Ordering::Relaxed);
    }

    /// Tests the kernels of a decode step; whether there are such as wait.
    ///
    /// # Errors
    /// An operation that no kernel computes rightly.
    pub async fn tests_resident(&self) -> Result<bool, ModelError> {
        let graph = self.graph(self.shape(1, Rows::Last, true, false), Some(SampleMode::default()), &Terms::default()).await?;
        Ok(graph.nodes.iter().any(|node| node.is::<LayerTail>().is_some()))
    }

    /// Variants that failed their test on this device.
    pub async fn banned(&self) -> Vec<(String, &'static str)> {
        self.test.lock().await.banned.clone()
    }
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("device", &self.device).field("choice", &self.choice).finish_non_exhaustive()
    }
}

/// A model's tables: those of the file, then those that it computes for a context.
///
/// # Errors
/// What cannot be read.
pub async fn tables(model: &dyn Model, source: &dyn ByteSource, context: u32) -> Result<Vec<Table>, ModelError> {
    let specs = &model.specs().tables;
    let tensors: Vec<&TensorInfo> = specs.iter().map(|spec| &spec.tensor).collect();
    let read = specs.iter().zip(read_tables(source, &tensors).await?);
    let mut tables: Vec<Table> = read.map(|(spec, values)| Table { key: spec.key.clone(), cols: values.len(), values }).collect();
    let computed = model.tables(&tables, context)?;
    tables.extend(computed);
    Ok(tables)
}

/// Weights on the GPU, their bytes, and what was seen of them on the way.
struct Put {
    weights: Weights,
    rows: Option<RowCache>,
    bytes: u64,
    samples: u64,
}

impl Choice {
    /// Places of each layer's pool of experts, where there is one.
    pub fn places(&self) -> Option<u32> {
        match self.experts {
            Experts::Pool(places) => Some(places),
            _ => None,
        }
    }

    /// Tokens of the longest step of a prompt.
    fn longest(&self, model: &dyn Model) -> u32 {
        if model.facts().blocks { MAX_BLOCK } else { self.chunk.unwrap_or(MAX_CHUNK) }
    }
}

/// Puts on the device what was chosen; where the GPU has no room and the choice allows it, less: first without the table that may be
/// streamed, then with few experts. Gives what was chosen in the end.
async fn put_fitting(
    device: &Device,
    model: &dyn Model,
    source: &dyn ByteSource,
    tables: &[Table],
    mut choice: Choice,
    progress: &mut dyn FnMut(Stage) -> bool,
) -> Result<(Put, Choice), ModelError> {
    let may_leave = choice.residency == Residency::IfItFits && model.streamed().is_some();
    let fewer = match choice.experts {
        Experts::AllOrPool(places) => Some(places),
        _ => None,
    };
    let mut tries = vec![(choice.residency != Residency::Never, choice.places())];
    tries.extend(may_leave.then_some((false, choice.places())));
    tries.extend(fewer.map(|places| (!may_leave && choice.residency != Residency::Never, Some(places))));
    let last = tries.len() - 1;
    for (at, (resident, places)) in tries.into_iter().enumerate() {
        let slots = Slots { rows: if resident { None } else { Some((choice.rows, choice.longest(model))) }, experts: places };
        match put(device, model, source, tables, slots, progress).await {
            Err(ModelError::Gpu(GpuError::OutOfMemory { .. })) if at < last => {}
            other => {
                choice.residency = if resident { Residency::Always } else { Residency::Never };
                choice.experts = places.map_or(Experts::All, Experts::Pool);
                return Ok((other?, choice));
            }
        }
    }
    Err(ModelError::Cancelled)
}

/// What has places only for some.
#[derive(Clone, Copy)]
struct Slots {
    /// Bytes for rows of the table that may be streamed, and the fewest places that they need; `None`: all are there.
    rows: Option<(u64, u32)>,
    /// Experts of each layer; `None`: all.
    experts: Option<u32>,
}

async fn put(
    device: &Device,
    model: &dyn Model,
    source: &dyn ByteSource,
    tables: &[Table],
    slots: Slots,
    progress: &mut dyn FnMut(Stage) -> bool,
) -> Result<Put, ModelError> {
    let mut weights = Weights::default();
    let on_host = |table: &Table| model.specs().tables.iter().any(|spec| spec.host && spec.key == table.key);
    let shown: Vec<Table> = tables.iter().filter(|table| !on_host(table)).cloned().collect();
    weights.add_tables(device, &shown).await?;
    let (places, table) = (slots.experts, model.streamed().map(|streamed| streamed.key));
    // The table last: it is the one that may have to stay outside.
    let (last, first): (Vec<_>, Vec<_>) = model.specs().weights.iter().partition(|spec| Some(spec.key.as_str()) == table);
    let mut rows = None;
    if let (Some((bytes, least)), Some(spec)) = (slots.rows, last.first()) {
        let (cache, weight) = RowCache::new(device, spec, rows::slots(spec, bytes, least, device.caps())?).await?;
        rows = Some(cache);
        weights.insert(weight);
    }
    let last: Vec<&WeightSpec> = last.into_iter().filter(|_| slots.rows.is_none()).collect();
    let (pooled, first): (Vec<_>, Vec<_>) = first.into_iter().partition(|spec| places.is_some() && spec.expert_rows().is_some());
    let total = first.iter().chain(&last).map(|spec| spec.bytes()).sum();
    let mut report = |done| progress(Stage::Weights { done, total });
    let mut loader = Loader::new(device, source, &mut report);
    loader.load(first.into_iter(), &mut weights).await?;
    loader.pools(&pooled, places.unwrap_or(0), &mut weights).await?;
    // The same wherever the table and the experts are.
    let samples = loader.samples();
    loader.load(last.into_iter(), &mut weights).await?;
    Ok(Put { weights, rows, bytes: total, samples })
}

/// SHA-256 of the weights' names, shapes and types, the small tables and samples of the rest.
fn identity(specs: &Specs, tables: &[Table], samples: u64) -> Result<[u8; 32], ModelError> {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for part in specs.weights.iter().flat_map(|spec| &spec.parts) {
        hash.update(format!("{} {:?} {:?} {}\n", part.key, part.rows, part.tensor.dims, part.tensor.dtype()?));
    }
    for table in tables {
        hash.update(format!("{} {}\n", table.key, table.cols));
        hash.update(bytemuck::cast_slice::<f32, u8>(&table.values));
    }
    hash.update(samples.to_le_bytes());
    Ok(hash.finalize().into())
}
