//! A loaded model.

use crate::format::Formats;
use crate::media::Senses;
use crate::options::{LoadOptions, Speculate};
use crate::residency;
use crate::resident::{self, Remembered};
use crate::session::Session;
use crate::speculation;
use crate::vocabulary::take_tokenizer;
use crate::{Cancel, Error};
use rullama_gpu::Device;
use rullama_model::Loaded;
use rullama_model::drafter::{Drafter, LoadedDrafter};
use rullama_model::experts::ExpertStats;
use rullama_model::loaded::{Choice, Stage};
use rullama_model::lora::Terms;
use rullama_model::model::{Model, Rows, Shape};
use rullama_model::pace::{MAX_CHUNK, MIN_CHUNK};
use rullama_model::products;
use rullama_model::rows::RowStats;
use rullama_ops::SampleMode;
use rullama_source::ByteSource;
use rullama_source::gguf::{Gguf, MetadataError};
use rullama_text::Tokenizer;
use rullama_text::chat::Size;
use serde::Serialize;
use std::sync::{Arc, OnceLock, Weak};
use web_time::Instant;

/// Longest context that is taken without being asked for.
pub const DEFAULT_CONTEXT: u32 = 32_768;

/// How far loading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "phase", rename_all = "kebab-case")]
pub enum Progress {
    /// Reading the header and the vocabulary.
    Header,
    /// Bytes of weights on the GPU.
    Weights {
        done: u64,
        total: u64,
    },
    /// Comparing kernels with references.
    SelfTest,
    Ready,
}

/// What a model is, for people and programs.
#[derive(Debug, Clone, Serialize)]
pub struct ModelInfo {
    pub name: String,
    pub layers: usize,
    pub dim: u32,
    pub vocab: u32,
    pub heads: u32,
    pub window: u32,
    /// The context of this load.
    pub context: u32,
    pub trained_context: u32,
    pub per_layer: u32,
    /// `resident`, `streamed` or `none`.
    pub ple: &'static str,
    /// `resident`, `streamed` or `none`.
    pub experts: &'static str,
    /// Experts of each layer that the GPU has places for; all of them where they are resident.
    pub expert_places: u32,
    /// `f16`, `f32` or `q8`; `none` for models that make embeddings.
    pub kv: &'static str,
    /// A drafter guesses tokens.
    pub drafter: bool,
    /// `int8` where large products are of codes of 8 bits, else `exact`.
    pub products: &'static str,
    /// Workgroups of decode steps stay on the GPU and wait for each other, until they once do not all come.
    pub persistent: bool,
    /// Lengths that embeddings were trained for, the whole one first; empty for models that answer.
    pub embedding: Vec<u32>,
    /// Bytes of weights read for one decoded token.
    pub bytes_per_token: u64,
    pub device: String,
    pub driver: String,
    pub backend: &'static str,
    pub subgroups: bool,
    pub large_template: bool,
    pub load_seconds: f64,
    /// Bytes of weights put on the GPU.
    pub loaded_bytes: u64,
    /// Kernel variants that failed their test on this adapter and are not used.
    pub disabled_kernels: Vec<String>,
}

/// Bytes in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryReport {
    /// On the GPU, all buffers of this engine's device.
    pub gpu: u64,
    /// The tokenizer's tables on the host.
    pub tokenizer: u64,
}

pub(crate) struct Inner {
    pub loaded: Arc<Loaded>,
    pub tokenizer: Tokenizer,
    pub info: ModelInfo,
    pub senses: Arc<Senses>,
    /// As it holds on this adapter and load.
    pub speculate: Speculate,
    pub drafter: Option<LoadedDrafter>,
    pub formats: OnceLock<Box<dyn Formats>>,
    /// What is known of the adapter's workgroups.
    pub remembered: Remembered,
}

/// A model on a GPU; clones share it. Sessions are made from it.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Inner>);

impl Engine {
    /// Opens the adapter and loads a model from any source.
    ///
    /// # Errors
    /// A file that is not a Gemma 4 text model or is damaged, an adapter that cannot hold it,
    /// a kernel that miscomputes: see [`Error::code`].
    pub async fn load(source: Arc<dyn ByteSource>, options: LoadOptions, progress: &mut dyn FnMut(Progress)) -> Result<Engine, Error> {
        Self::load_cancellable(source, options, &Cancel::new(), progress).await
    }

    /// As [`load`](Self::load), ending early when cancelled.
    pub async fn load_cancellable(
        source: Arc<dyn ByteSource>,
        options: LoadOptions,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Engine, Error> {
        Self::load_with(None, source, options, cancel, progress).await
    }

    /// As [`load_cancellable`](Self::load_cancellable), on a device that is open already, beside what else runs there.
    pub async fn load_on(
        device: Device,
        source: Arc<dyn ByteSource>,
        options: LoadOptions,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Engine, Error> {
        Self::load_with(Some(device), source, options, cancel, progress).await
    }

    #[allow(clippy::arc_with_non_send_sync, reason = "GPU handles are not Send in a browser, where everything is one thread")]
    async fn load_with(
        device: Option<Device>,
        source: Arc<dyn ByteSource>,
        options: LoadOptions,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Engine, Error> {
        progress(Progress::Header);
        let mut gguf = Gguf::open(&*source).await?;
        let model = rullama_model::model::open(&gguf)?;
        let tokenizer = take_tokenizer(&mut gguf.metadata, model.facts().vocab)?;
        let drafter = open_drafter(&*model, &options).await?;
        let device = match device {
            Some(device) => device,
            None => Device::open(&options.adapter()).await?,
        };
        let residency = residency::residency(&device, &*model, &options, &*source)?;
        let experts = residency::experts(&device, &*model, &options, &*source, residency)?;
        let (context, chunk) = (context(&*model, &options, &device)?, chunk(&options)?);
        let rows = residency::rows(&device, &*model, &options);
        let remembered = Remembered { kept: options.measurements.clone(), key: products::key(&device, &*model) };
        let faster = remembered.kept.as_ref().and_then(|kept| kept.recall(&remembered.key));
        let choice = Choice { kv: options.kv, context, residency, rows, experts, chunk, products: options.wanted_products(), faster };
        let name = MetadataError::optional(gguf.metadata.str("general.name"))?.unwrap_or("unnamed").to_string();
        // Seconds of putting weights on the GPU end where the self-test begins.
        let (started, mut seconds) = (Instant::now(), 0.0);
        let mut report = |stage| {
            seconds = if stage == Stage::SelfTest { started.elapsed().as_secs_f64() } else { seconds };
            progress(match stage {
                Stage::Weights { done, total } => Progress::Weights { done, total },
                Stage::SelfTest => Progress::SelfTest,
            });
            !cancel.is_cancelled()
        };
        let loaded = Loaded::load(device, model, source, choice, &mut report).await?;
        if let (Some(kept), Some(faster)) = (&remembered.kept, loaded.measured) {
            kept.keep(&remembered.key, faster);
        }
        let speculate = if loaded.streams_experts() { Speculate::Off } else { options.speculate };
        let drafter = match drafter.filter(|_| speculate != Speculate::Off) {
            Some((drafter, source)) => Some(load_drafter(&loaded, drafter, &*source, cancel, progress).await?),
            None => None,
        };
        test_drafts(&loaded, speculate, drafter.as_ref()).await?;
        let info = ModelInfo { drafter: drafter.is_some(), ..info(&loaded, name, &options, seconds).await };
        let (loaded, senses, formats) = (Arc::new(loaded), Arc::new(Senses::default()), OnceLock::new());
        let spare: Weak<Senses> = Arc::downgrade(&senses);
        loaded.device.on_shortage(spare);
        let mut engine = Engine(Arc::new(Inner { loaded, tokenizer, info, senses, speculate, drafter, formats, remembered }));
        let chosen = resident::choose(&engine, options.persistent, cancel).await?;
        if let Some(inner) = Arc::get_mut(&mut engine.0) {
            inner.info.persistent = chosen.on;
            inner.info.disabled_kernels.extend(chosen.failed.iter().map(|workgroups| format!("layer_tail/{workgroups}")));
        }
        progress(Progress::Ready);
        Ok(engine)
    }

    pub fn info(&self) -> &ModelInfo {
        &self.0.info
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.0.tokenizer
    }

    /// The model on its device, for a trainer or another engine that shares it.
    pub fn loaded(&self) -> &Arc<Loaded> {
        &self.0.loaded
    }

    pub fn device(&self) -> &Device {
        &self.0.loaded.device
    }

    /// The prompt template that the model wants.
    pub fn template_size(&self) -> Size {
        if self.0.info.large_template { Size::Large } else { Size::Small }
    }

    pub fn memory(&self) -> MemoryReport {
        MemoryReport { gpu: self.0.loaded.device.allocated(), tokenizer: self.0.tokenizer.memory_bytes() as u64 }
    }

    /// What streaming experts took since the load, over all sessions; `None` where they are resident, or there are none.
    pub async fn expert_stats(&self) -> Option<ExpertStats> {
        self.0.loaded.expert_stats().await
    }

    /// What streaming rows of per-layer embeddings took since the load, over all sessions; `None` where they are resident, or there are none.
    pub async fn row_stats(&self) -> Option<RowStats> {
        self.0.loaded.row_stats().await
    }

    /// A new, empty sequence with caches of its own.
    pub async fn session(&self) -> Result<Session, Error> {
        Session::new(self.clone()).await
    }
}

/// The drafter that may be used, if it is this model's: told before the model is loaded.
async fn open_drafter(model: &dyn Model, options: &LoadOptions) -> Result<Option<(Arc<dyn Drafter>, Arc<dyn ByteSource>)>, Error> {
    match (options.speculate, &options.drafter) {
        (Speculate::Drafter, None) => {
            let reason = "needs a drafter: give the file of the one that was made for the model, or choose another way".into();
            Err(Error::InvalidArgument { name: "speculate", value: "drafter".into(), reason })
        }
        (Speculate::Auto | Speculate::Drafter, Some(source)) => Ok(Some((model.drafter(&Gguf::open(&**source).await?)?, source.clone()))),
        _ => Ok(None),
    }
}

/// Puts a drafter beside its model.
async fn load_drafter(
    loaded: &Loaded,
    drafter: Arc<dyn Drafter>,
    source: &dyn ByteSource,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress),
) -> Result<LoadedDrafter, Error> {
    let mut report = |done, total| {
        progress(Progress::Weights { done, total });
        !cancel.is_cancelled()
    };
    Ok(LoadedDrafter::load(loaded, drafter, source, &mut report).await?)
}

/// Tests the kernels of steps that verify drafts, and of those that make them.
async fn test_drafts(loaded: &Loaded, choice: Speculate, drafter: Option<&LoadedDrafter>) -> Result<(), Error> {
    if choice == Speculate::Off {
        return Ok(());
    }
    for rows in speculation::ROWS {
        let shape = Shape { hidden: drafter.is_some(), ..loaded.shape(rows, Rows::All, false, false) };
        loaded.graph(shape, Some(SampleMode::default()), &Terms::default()).await?;
        if let Some(drafter) = drafter {
            drafter.graph(loaded, rows - 1).await?;
        }
    }
    Ok(())
}

async fn info(loaded: &Loaded, name: String, options: &LoadOptions, load_seconds: f64) -> ModelInfo {
    let (device, facts) = (&loaded.device, loaded.model.facts());
    let banned = loaded.banned().await;
    ModelInfo {
        name,
        layers: facts.layers,
        dim: facts.dim,
        vocab: facts.vocab,
        heads: facts.heads,
        window: facts.window,
        context: loaded.choice.context,
        trained_context: facts.context,
        per_layer: facts.per_layer,
        ple: match (loaded.model.streamed(), loaded.streams()) {
            (None, _) => "none",
            (Some(_), false) => "resident",
            (Some(_), true) => "streamed",
        },
        experts: match (facts.experts, loaded.streams_experts()) {
            (0, _) => "none",
            (_, false) => "resident",
            (_, true) => "streamed",
        },
        expert_places: loaded.choice.places().unwrap_or(facts.experts),
        kv: loaded.choice.kv.name(),
        drafter: false,
        products: if loaded.codes.is_some() { "int8" } else { "exact" },
        persistent: false,
        embedding: Vec::new(),
        bytes_per_token: loaded.model.bytes_per_token(),
        device: device.name().into(),
        driver: device.driver(),
        backend: device.backend(),
        subgroups: device.caps().subgroups.is_some(),
        large_template: options.large_template.unwrap_or(facts.empty_thought),
        load_seconds,
        loaded_bytes: loaded.loaded_bytes,
        disabled_kernels: banned.iter().map(|(op, variant)| format!("{op}/{variant}")).collect(),
    }
}

fn chunk(options: &LoadOptions) -> Result<Option<u32>, Error> {
    match options.chunk {
        Some(n) if !(MIN_CHUNK..=MAX_CHUNK).contains(&n) => {
            let reason = format!("is outside {MIN_CHUNK}..={MAX_CHUNK}");
            Err(Error::InvalidArgument { name: "chunk", value: n.to_string(), reason })
        }
        chunk => Ok(chunk),
    }
}

/// The context to load with: within what the model was trained for, and what the adapter can bind as one layer's cache.
fn context(model: &dyn Model, options: &LoadOptions, device: &Device) -> Result<u32, Error> {
    let trained = model.facts().context;
    let widest = model.caches().iter().filter(|cache| cache.window.is_none()).map(|cache| cache.width).max().unwrap_or(1);
    let bound = 64 * (device.caps().max_binding / options.kv.bytes(64, widest));
    let bound = u32::try_from(bound).unwrap_or(u32::MAX).max(64);
    let most = trained.min(bound);
    let refuse = |n: u32, reason: String| Err(Error::InvalidArgument { name: "context", value: n.to_string(), reason });
    match options.context {
        None => Ok(most.min(options.preferred_context.unwrap_or(DEFAULT_CONTEXT).max(1))),
        Some(n) if n < 1 || n > trained => refuse(n, format!("is outside 1..={trained}")),
        Some(n) if n > bound => refuse(n, format!("needs a longer cache than this adapter can bind; at most {bound} fit")),
        Some(n) => Ok(n),
    }
}
