//! A loaded model.

use crate::options::{LoadOptions, PleMode};
use crate::session::Session;
use crate::vocabulary::take_tokenizer;
use crate::{Cancel, Error, selftest};
use rullama_gpu::Device;
use rullama_model::ModelError;
use rullama_model::gemma4::{self, Config, Span, Specs};
use rullama_model::weights::{Loader, Table, WeightSpec, Weights, read_table, read_tables};
use rullama_ops::{KvType, SampleMode, rope_tables};
use rullama_source::gguf::{Gguf, MetadataError, TensorInfo};
use rullama_source::{ByteSource, Locality};
use rullama_text::Tokenizer;
use rullama_text::chat::Size;
use serde::Serialize;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use web_time::Instant;

/// Tokens of the first chunk on a GPU and on a CPU adapter, before its speed is known.
const FIRST_CHUNK: [u32; 2] = [64, 16];

/// Longest context that is taken without being asked for.
pub const DEFAULT_CONTEXT: u32 = 32_768;

/// Bytes that weights may take when nobody says: a discrete card, and anything else.
const BUDGETS: [u64; 2] = [16 << 30, 6 << 30];

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
    pub kv: &'static str,
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
    pub device: Device,
    pub config: Config,
    pub specs: Specs,
    pub scales: Vec<f32>,
    pub weights: Weights,
    pub tables: Vec<Table>,
    pub tokenizer: Tokenizer,
    pub source: Arc<dyn ByteSource>,
    pub kv: KvType,
    /// The per-layer table, when its rows are streamed.
    pub streamed: Option<TensorInfo>,
    pub info: ModelInfo,
    pub banned: Vec<(String, &'static str)>,
    /// Tokens of a prompt's chunk, adapted to the adapter's speed.
    pub chunk: AtomicU32,
    /// Ways to sample whose kernels are tested.
    pub samplers: Mutex<Vec<SampleMode>>,
}

impl Inner {
    /// Tests the kernels of a way to sample when it is first asked for.
    pub async fn test_sampler(&self, mode: SampleMode) -> Result<(), Error> {
        let tested = || self.samplers.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if !tested().contains(&mode) {
            selftest::sampler(&self.device, mode).await?;
            tested().push(mode);
        }
        Ok(())
    }
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
    #[allow(clippy::arc_with_non_send_sync, reason = "GPU handles are not Send in a browser, where everything is one thread")]
    pub async fn load_cancellable(
        source: Arc<dyn ByteSource>,
        options: LoadOptions,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Engine, Error> {
        progress(Progress::Header);
        let mut gguf = Gguf::open(&*source).await?;
        let config = Config::read(&gguf)?;
        let specs = gemma4::specs(&gguf, &config)?;
        let tokenizer = take_tokenizer(&mut gguf.metadata, config.vocab)?;
        let device = Device::open(&options.adapter()).await?;
        let context = context(&config, &options, &device)?;
        let started = Instant::now();

        let (tables, scales) = tables(&*source, &gguf, &config, &specs, context).await?;
        let mut resident = resident(&device, &config, &specs, &options, &*source)?;
        let mut weights = Weights::default();
        weights.add_tables(&device, &tables).await?;
        let wanted = |spec: &&WeightSpec, resident: bool| resident || spec.key != PLE_KEY;
        let mut loaded =
            load_weights(&device, &*source, specs.weights.iter().filter(|s| wanted(s, resident)), &mut weights, cancel, progress).await;
        let optional = config.per_layer > 0 && options.ple == PleMode::Auto && source.locality() != Locality::Remote;
        if resident && optional && out_of_memory(&loaded) {
            resident = false;
            weights = Weights::default();
            weights.add_tables(&device, &tables).await?;
            loaded =
                load_weights(&device, &*source, specs.weights.iter().filter(|s| wanted(s, false)), &mut weights, cancel, progress).await;
        }
        let loaded_bytes = loaded?;
        device.finish().await?;
        let load_seconds = started.elapsed().as_secs_f64();

        progress(Progress::SelfTest);
        let banned = selftest::run(&device, &config, &specs, options.kv, resident).await?;
        let table = specs.weights.iter().find(|s| s.key == PLE_KEY).map(|s| s.parts[0].tensor.clone());
        let info = ModelInfo {
            name: MetadataError::optional(gguf.metadata.str("general.name"))?.unwrap_or("unnamed").to_string(),
            layers: config.layers.len(),
            dim: config.dim,
            vocab: config.vocab,
            heads: config.heads,
            window: config.window,
            context,
            trained_context: config.context,
            per_layer: config.per_layer,
            ple: if table.is_none() {
                "none"
            } else if resident {
                "resident"
            } else {
                "streamed"
            },
            kv: if options.kv == KvType::F16 { "f16" } else { "f32" },
            bytes_per_token: bytes_per_token(&specs, &config),
            device: device.name().into(),
            driver: device.driver(),
            backend: device.backend(),
            subgroups: device.caps().subgroups.is_some(),
            large_template: options.large_template.unwrap_or(config.large()),
            load_seconds,
            loaded_bytes,
            disabled_kernels: banned.iter().map(|(op, variant)| format!("{op}/{variant}")).collect(),
        };
        let software = device.caps().software;
        let streamed = if resident { None } else { table };
        let config = Config { context, ..config };
        let inner = Inner {
            device,
            config,
            specs,
            scales,
            weights,
            tables,
            tokenizer,
            source,
            kv: options.kv,
            streamed,
            info,
            banned,
            chunk: FIRST_CHUNK[usize::from(software)].into(),
            samplers: Mutex::default(),
        };
        inner.test_sampler(SampleMode::default()).await?;
        progress(Progress::Ready);
        Ok(Engine(Arc::new(inner)))
    }

    pub fn info(&self) -> &ModelInfo {
        &self.0.info
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.0.tokenizer
    }

    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// The prompt template that the model wants.
    pub fn template_size(&self) -> Size {
        if self.0.info.large_template { Size::Large } else { Size::Small }
    }

    pub fn memory(&self) -> MemoryReport {
        MemoryReport { gpu: self.0.device.allocated(), tokenizer: self.0.tokenizer.memory_bytes() as u64 }
    }

    /// A new, empty sequence with caches of its own.
    pub async fn session(&self) -> Result<Session, Error> {
        Session::new(self.clone()).await
    }
}

/// Key of the per-layer table among the weights.
pub(crate) const PLE_KEY: &str = "per_layer_token_embd";

fn out_of_memory(result: &Result<u64, Error>) -> bool {
    matches!(result, Err(Error::Gpu(rullama_gpu::GpuError::OutOfMemory { .. })))
}

/// The context to load with: within what the model was trained for, and what the adapter can bind as one layer's cache.
fn context(config: &Config, options: &LoadOptions, device: &Device) -> Result<u32, Error> {
    let widest = config.layers.iter().filter(|l| l.span == Span::Global).map(|l| l.kv_heads * l.head_dim).max().unwrap_or(1);
    let bound = device.caps().max_binding / (u64::from(widest) * options.kv.bytes());
    let bound = u32::try_from(bound / 64 * 64).unwrap_or(u32::MAX).max(64);
    let most = config.context.min(bound);
    let refuse = |n: u32, reason: String| Err(Error::InvalidArgument { name: "context", value: n.to_string(), reason });
    match options.context {
        None => Ok(most.min(DEFAULT_CONTEXT)),
        Some(n) if n < 1 || n > config.context => refuse(n, format!("is outside 1..={}", config.context)),
        Some(n) if n > bound => refuse(n, format!("needs a longer cache than this adapter can bind; at most {bound} fit")),
        Some(n) => Ok(n),
    }
}

/// Whether the per-layer table goes to the GPU.
fn resident(device: &Device, config: &Config, specs: &Specs, options: &LoadOptions, source: &dyn ByteSource) -> Result<bool, Error> {
    if config.per_layer == 0 {
        return Ok(true);
    }
    let total: u64 = specs.weights.iter().map(WeightSpec::bytes).sum();
    let budget = options.memory_budget.unwrap_or(BUDGETS[usize::from(!device.discrete())]);
    match (options.ple, source.locality()) {
        (PleMode::Resident, _) => Ok(true),
        (PleMode::Streamed, Locality::Remote) => Err(Error::InvalidArgument {
            name: "ple",
            value: "streamed".into(),
            reason: "would fetch a row over the network for every token; download the model first or use `resident`".into(),
        }),
        (PleMode::Streamed, _) => Ok(false),
        (PleMode::Auto, Locality::Remote) if total > budget => Err(Error::RemoteBudget { name: source.name().into(), need: total, budget }),
        (PleMode::Auto, _) => Ok(total <= budget),
    }
}

/// Weight bytes that decoding one token reads: everything but the gathered tables.
fn bytes_per_token(specs: &Specs, config: &Config) -> u64 {
    let gathered = |s: &&WeightSpec| s.key == PLE_KEY || (s.key == "token_embd" && specs.head.is_some());
    let all: u64 = specs.weights.iter().filter(|s| !gathered(s)).map(WeightSpec::bytes).sum();
    all + u64::from(config.dim) * 4
}

/// Norm weights and rotation tables, and the layers' output scales.
async fn tables(
    source: &dyn ByteSource,
    gguf: &Gguf,
    config: &Config,
    specs: &Specs,
    context: u32,
) -> Result<(Vec<Table>, Vec<f32>), Error> {
    let tensors: Vec<&TensorInfo> = specs.tables.iter().map(|spec| &spec.tensor).chain(specs.output_scales.iter().flatten()).collect();
    let mut read = read_tables(source, &tensors).await?.into_iter();
    let mut tables = Vec::new();
    for (spec, values) in specs.tables.iter().zip(&mut read) {
        tables.push(Table { key: spec.key.clone(), cols: values.len(), values });
    }
    let factors = rope_factors(source, gguf, config).await?;
    for (span, name) in [(Span::Sliding, "sliding"), (Span::Global, "global")] {
        let pairs = config.layers.iter().find(|l| l.span == span).map_or(0, |l| l.head_dim as usize / 2);
        if pairs == 0 {
            continue;
        }
        let (low, high) = rope_tables(&gemma4::rope_frequencies(config, span, factors.as_deref()), context);
        tables.push(Table { key: format!("rope.{name}.low"), cols: 2 * pairs, values: low });
        tables.push(Table { key: format!("rope.{name}.high"), cols: 2 * pairs, values: high });
    }
    // Behind the tables come the scales that there are.
    let mut given = || read.next().and_then(|values| values.first().copied());
    let scales = specs.output_scales.iter().map(|tensor| tensor.as_ref().and_then(|_| given()).unwrap_or(1.0));
    Ok((tables, scales.collect()))
}

/// What divides the rotation frequencies of global layers, where the file says.
async fn rope_factors(source: &dyn ByteSource, gguf: &Gguf, config: &Config) -> Result<Option<Vec<f32>>, Error> {
    let name = "rope_freqs.weight";
    let global = config.layers.iter().find(|l| l.span == Span::Global);
    let (Some(tensor), Some(layer)) = (gguf.tensors.get(name), global) else { return Ok(None) };
    let expected = vec![u64::from(layer.head_dim / 2)];
    if tensor.dims != expected {
        return Err(ModelError::Shape { name: name.into(), expected, found: tensor.dims.clone() }.into());
    }
    let factors = read_table(source, tensor).await?;
    match factors.iter().find(|f| !(f.is_finite() && **f > 0.0)) {
        Some(&value) => Err(ModelError::Value { name: name.into(), value, reason: "is no positive factor of a frequency" }.into()),
        None => Ok(Some(factors)),
    }
}

async fn load_weights<'a>(
    device: &Device,
    source: &dyn ByteSource,
    specs: impl Iterator<Item = &'a WeightSpec> + Clone,
    weights: &mut Weights,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress),
) -> Result<u64, Error> {
    let total = specs.clone().map(WeightSpec::bytes).sum();
    let mut report = |done| {
        progress(Progress::Weights { done, total });
        !cancel.is_cancelled()
    };
    let mut loader = Loader::new(device, source, &mut report);
    // The per-layer table last: it is the one that may have to stay outside.
    let (last, first): (Vec<_>, Vec<_>) = specs.partition(|s| s.key == PLE_KEY);
    loader.load(first.into_iter().chain(last), weights).await?;
    Ok(total)
}
