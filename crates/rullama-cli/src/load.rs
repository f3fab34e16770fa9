//! Options of every command that runs a model, and loading with progress.

use crate::error::Interrupted;
use crate::model::{self, Located};
use crate::terminal::{Progress, one_line};
use crate::{interrupt, measured, table};
use anyhow::{Context, Result};
use clap::ValueEnum;
use rullama::DEFAULT_CONTEXT;
use rullama::{
    AdapterProfile, Cancel, Embedder, Engine, ExpertMode, ExpertStats, KvType, LoadOptions, Persistent, PleMode, Products as Wanted,
    Speculate,
};
use rullama_source::{ByteSource, FileSource};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

/// Where the per-layer embeddings live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Ple {
    /// On the GPU if they fit, else streamed
    Auto,
    /// On the GPU: fastest
    Resident,
    /// In the file: rows are read as tokens need them
    Streamed,
}

/// Where the experts of a mixture live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Experts {
    /// On the GPU if they fit, else streamed
    Auto,
    /// On the GPU: fastest
    Resident,
    /// In the file, with as many on the GPU as --memory has room for: others are read as tokens go to them
    Streamed,
}

/// Type of cached keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kv {
    /// Halves
    F16,
    /// Twice the memory of f16
    F32,
    /// About half the memory of f16, a little less exact
    Q8,
}

impl Kv {
    pub fn wanted(self) -> KvType {
        match self {
            Kv::F16 => KvType::F16,
            Kv::F32 => KvType::F32,
            Kv::Q8 => KvType::Q8,
        }
    }
}

/// What products with quantised weights multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Products {
    /// int8 for large weights where that is measured to be faster on this adapter
    Auto,
    /// Values in f32
    Exact,
    /// Values rounded to 8 bits: faster on most GPUs, a little less exact
    Int8,
}

/// Whether a decode step's workgroups stay on the GPU from product to product and wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stay {
    /// Where that was right and faster on this adapter
    Auto,
    /// Where it is right, also where it is slower
    On,
    /// Every product is a dispatch
    Off,
}

/// Whether several tokens are verified in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Speculation {
    /// One token a step
    Off,
    /// By prompt look-up and by a drafter, if there is one, where that was measured to be faster
    Auto,
    /// By prompt look-up wherever the text reads as it did before, also where that is slower
    Lookup,
    /// By a drafter for every token, also where that is slower
    Drafter,
}

impl Speculation {
    fn wanted(self) -> Speculate {
        match self {
            Speculation::Off => Speculate::Off,
            Speculation::Auto => Speculate::Auto,
            Speculation::Lookup => Speculate::Lookup,
            Speculation::Drafter => Speculate::Drafter,
        }
    }
}

/// Limits and features to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Profile {
    /// All that the adapter has
    Native,
    /// Only what WebGPU guarantees everywhere
    Webgpu,
}

#[derive(Clone, clap::Args)]
#[command(next_help_heading = "Loading")]
pub struct LoadArguments {
    /// Where the per-layer embeddings (most of an E2B or E4B) live
    #[arg(long, value_enum, default_value = "auto")]
    ple: Ple,
    /// Where the experts of a mixture (most of a 26B-A4B) live
    #[arg(long, value_enum, default_value = "auto")]
    experts: Experts,
    /// Type of cached keys and values
    #[arg(long, value_enum, default_value = "f16")]
    kv: Kv,
    /// What products with quantised weights multiply [default: auto; exact for eval, training, CPU adapters and --kv f32]
    #[arg(long, value_enum)]
    products: Option<Products>,
    /// The same as --products exact
    #[arg(long, conflicts_with = "products")]
    exact: bool,
    /// Keep a decode step's workgroups on the GPU from product to product, where a model has per-layer embeddings and its products are int8
    #[arg(long, value_enum, default_value = "auto")]
    persistent: Stay,
    /// Most tokens of a conversation [default: the model's, up to 32768]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    ctx: Option<u32>,
    /// Memory for weights on the GPU, in GB, that `--ple auto` and streamed experts keep to
    #[arg(long, value_name = "GB", value_parser = gigabytes)]
    memory: Option<u64>,
    /// Tokens of a prompt's chunk, 16 to 512 [default: by the measured speed of the GPU]; with one given, a prompt's logits are the same to the bit in every run
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(16..=512))]
    chunk: Option<u32>,
    /// Verify several tokens in a step, guessed from what the text said before, for answers that repeat their prompt, or by a drafter
    /// [default: off; auto with --drafter]
    #[arg(long, value_enum)]
    speculate: Option<Speculation>,
    /// A small model that was made to guess this one's tokens (`gemma4-assistant`): a file, an address or a name [default, where tokens are guessed: the one that Ollama's store keeps beside the model]
    #[arg(long, value_name = "MODEL")]
    drafter: Option<OsString>,
    /// Limits and features of the adapter to use
    #[arg(long, value_enum, default_value = "native")]
    adapter_profile: Profile,
}

/// What of it an embedding model has.
#[derive(Clone, clap::Args)]
#[command(next_help_heading = "Loading")]
pub struct EmbedderArguments {
    /// Most tokens of a text [default: the model's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    ctx: Option<u32>,
    /// Limits and features of the adapter to use
    #[arg(long, value_enum, default_value = "native")]
    adapter_profile: Profile,
}

impl Profile {
    fn wanted(self) -> AdapterProfile {
        match self {
            Profile::Native => AdapterProfile::Native,
            Profile::Webgpu => AdapterProfile::WebGpuDefaults,
        }
    }
}

/// Bytes of so many gigabytes.
pub fn gigabytes(text: &str) -> Result<u64, String> {
    let number: f64 = text.parse().map_err(|_| "give a number of gigabytes, such as 6 or 1.5".to_owned())?;
    if number.is_finite() && number > 0.0 { Ok((number * 1e9) as u64) } else { Err("give a number above 0".to_owned()) }
}

impl LoadArguments {
    /// `least` is the context that the work needs, where none is asked for.
    ///
    /// # Errors
    /// A drafter that cannot be found.
    pub fn options(&self, located: &Located, least: Option<u32>) -> Result<LoadOptions> {
        let wish = stored_context(located);
        let least = least.filter(|least| *least > wish.unwrap_or(DEFAULT_CONTEXT));
        Ok(LoadOptions {
            ple: match self.ple {
                Ple::Auto => PleMode::Auto,
                Ple::Resident => PleMode::Resident,
                Ple::Streamed => PleMode::Streamed,
            },
            experts: match self.experts {
                Experts::Auto => ExpertMode::Auto,
                Experts::Resident => ExpertMode::Resident,
                Experts::Streamed => ExpertMode::Streamed,
            },
            kv: self.kv.wanted(),
            products: self.products().unwrap_or_default(),
            persistent: match self.persistent {
                Stay::Auto => Persistent::Auto,
                Stay::On => Persistent::On,
                Stay::Off => Persistent::Off,
            },
            measurements: measured::kept(),
            context: self.ctx.or(least),
            preferred_context: wish,
            memory_budget: self.memory,
            chunk: self.chunk,
            speculate: self.speculate(),
            drafter: self.drafter(located)?,
            profile: self.adapter_profile.wanted(),
            large_template: located.large_template(),
            ..LoadOptions::default()
        })
    }
}

impl LoadArguments {
    /// Bytes that weights may take, where somebody said.
    pub fn memory(&self) -> Option<u64> {
        self.memory
    }

    fn products(&self) -> Option<Wanted> {
        let said = self.products.map(|products| match products {
            Products::Auto => Wanted::Auto,
            Products::Exact => Wanted::Exact,
            Products::Int8 => Wanted::Int8,
        });
        said.or(self.exact.then_some(Wanted::Exact))
    }

    /// For what is exact unless somebody says otherwise.
    pub fn exact_by_default(&self) -> Self {
        LoadArguments { exact: self.products.is_none(), ..self.clone() }
    }

    /// Whether it is ours to say where per-layer embeddings live.
    pub fn chooses_ple(&self) -> bool {
        self.ple == Ple::Auto
    }

    /// With per-layer embeddings in the file.
    pub fn with_streamed_ple(&self) -> Self {
        LoadArguments { ple: Ple::Streamed, ..self.clone() }
    }

    /// Limits and features of the adapter to use.
    pub fn profile(&self) -> AdapterProfile {
        self.adapter_profile.wanted()
    }

    /// How tokens are guessed.
    pub fn speculate(&self) -> Speculate {
        let default = if self.drafter.is_some() { Speculation::Auto } else { Speculation::Off };
        self.speculate.unwrap_or(default).wanted()
    }

    /// The drafter that was named.
    pub fn named_drafter(&self) -> Option<&OsStr> {
        self.drafter.as_deref()
    }

    /// The drafter that was named, else the one that the store keeps beside the model, where it may be used.
    fn drafter(&self, located: &Located) -> Result<Option<Arc<dyn ByteSource>>> {
        if !matches!(self.speculate(), Speculate::Auto | Speculate::Drafter) {
            return Ok(None);
        }
        let of_drafter = |name: &OsStr| format!("the drafter {} cannot be loaded", name.display());
        if let Some(name) = self.named_drafter() {
            return Ok(Some(model::locate(name).with_context(|| of_drafter(name))?.source));
        }
        let Some(blob) = located.stored.as_ref().and_then(|stored| stored.draft.as_ref()) else { return Ok(None) };
        let file = FileSource::open(&blob.path).with_context(|| of_drafter(blob.path.as_os_str()))?;
        Ok(Some(Arc::new(file)))
    }

    /// Whether somebody said how long the context is.
    pub fn fixed_context(&self) -> bool {
        self.ctx.is_some()
    }
}

/// The context of the store's parameters, which counts where none is asked for.
fn stored_context(located: &Located) -> Option<u32> {
    let wish = located.stored.as_ref()?.params.num_ctx.filter(|n| *n > 0)?;
    Some(u32::try_from(wish).unwrap_or(u32::MAX))
}

/// Finds and loads a model. `least` is the context that the work needs, where none is asked for.
///
/// # Errors
/// What is wrong with the model or the adapter; [`Interrupted`].
pub fn load(name: &OsStr, arguments: &LoadArguments, least: Option<u32>, cancel: &Cancel) -> Result<(Engine, Located)> {
    let located = model::locate(name)?;
    located.refuse_adapters()?;
    Ok((load_located(name, &located, arguments, least, cancel)?, located))
}

/// Loads a model that was found as `name`; its store's adapters are for the caller to apply, or to refuse.
///
/// # Errors
/// As [`load`].
pub fn load_located(name: &OsStr, located: &Located, arguments: &LoadArguments, least: Option<u32>, cancel: &Cancel) -> Result<Engine> {
    let options = arguments.options(located, least)?;
    with_progress(name, cancel, |show| pollster::block_on(Engine::load_cancellable(located.source.clone(), options, cancel, show)))
}

/// Loads an embedding model that was found as `name`.
///
/// # Errors
/// As [`load`].
pub fn load_embedder(name: &OsStr, located: &Located, arguments: &EmbedderArguments, cancel: &Cancel) -> Result<Embedder> {
    let options = LoadOptions { context: arguments.ctx, profile: arguments.adapter_profile.wanted(), ..LoadOptions::default() };
    with_progress(name, cancel, |show| pollster::block_on(Embedder::load(located.source.clone(), options, cancel, show)))
}

/// Loads with a line of progress; Ctrl-C ends it.
fn with_progress<T>(
    name: &OsStr,
    cancel: &Cancel,
    load: impl FnOnce(&mut dyn FnMut(rullama::Progress)) -> Result<T, rullama::Error>,
) -> Result<T> {
    let on_interrupt = cancel.clone();
    interrupt::install();
    interrupt::on_first(move || on_interrupt.cancel());
    let mut line = Progress::new();
    let mut show = |progress: rullama::Progress| match progress {
        rullama::Progress::Weights { done, total } => line.bytes("loading", done, total),
        rullama::Progress::SelfTest => line.now("testing kernels ..."),
        rullama::Progress::Header => line.now("reading the header ..."),
        _ => line.clear(),
    };
    let loaded = load(&mut show);
    line.clear();
    match loaded {
        Err(rullama::Error::Cancelled) => Err(Interrupted.into()),
        other => other.with_context(|| format!("{} cannot be loaded", name.display())),
    }
}

/// The model's name and size.
pub fn title(engine: &Engine) -> String {
    format!("{} ({})", one_line(&engine.info().name), table::bytes(engine.info().loaded_bytes))
}

/// What was loaded, for `--verbose`.
pub fn describe(engine: &Engine) -> String {
    let info = engine.info();
    let speed = info.loaded_bytes as f64 / info.load_seconds.max(1e-9);
    let experts = match (info.experts, info.expert_places) {
        ("none", _) => String::new(),
        (mode, places) => format!(", experts {mode} ({places} of each layer on the GPU)"),
    };
    format!(
        "{} on {} ({}, {}): {} in {:.2} s ({}/s), {} on the GPU, context {}, per-layer embeddings {}{experts}, cache {}{}",
        one_line(&info.name),
        info.device,
        info.backend,
        info.driver,
        table::bytes(info.loaded_bytes),
        info.load_seconds,
        table::bytes(speed as u64),
        table::bytes(engine.memory().gpu),
        info.context,
        info.ple,
        info.kv,
        if info.drafter { ", with a drafter" } else { "" },
    )
}

/// What streaming experts took since `earlier`, for `--verbose`; nothing where they are resident, or there are none.
pub fn experts_since(engine: &Engine, earlier: ExpertStats) -> Option<String> {
    let took = pollster::block_on(engine.expert_stats())?.since(&earlier);
    Some(format!(
        "experts: {} wanted, {:.1} % of them on the GPU, {} read, {} round trips, {} passes",
        table::count(took.wanted),
        100.0 * took.hit_rate(),
        table::bytes(took.bytes_read),
        table::count(took.round_trips),
        table::count(took.passes),
    ))
}
