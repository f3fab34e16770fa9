//! Embeddings of texts.

use crate::options::LoadOptions;
use crate::vocabulary::take_embedded_pieces;
use crate::{Cancel, Error, MemoryReport, ModelInfo, Progress};
use rullama_gpu::Device;
use rullama_model::Stage;
use rullama_model::encoder::{EncoderOutputs, LoadedEncoder};
use rullama_source::ByteSource;
use rullama_source::gguf::{Gguf, MetadataError};
use rullama_text::Tokenizer;
use serde::Serialize;
use std::sync::Arc;
use web_time::Instant;

/// What an embedding is for. EmbeddingGemma was trained with a few words before each text that say so; query and document are those of
/// a search. Source: EmbeddingGemma's model card.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum EmbedPrompt {
    /// The text as it is.
    #[default]
    None,
    Query,
    /// With its title, where it has one.
    Document(Option<String>),
    QuestionAnswering,
    FactChecking,
    Classification,
    Clustering,
    SentenceSimilarity,
    CodeRetrieval,
}

impl EmbedPrompt {
    /// Every prompt by its name.
    pub const ALL: [(&str, EmbedPrompt); 9] = [
        ("none", EmbedPrompt::None),
        ("query", EmbedPrompt::Query),
        ("document", EmbedPrompt::Document(None)),
        ("question-answering", EmbedPrompt::QuestionAnswering),
        ("fact-checking", EmbedPrompt::FactChecking),
        ("classification", EmbedPrompt::Classification),
        ("clustering", EmbedPrompt::Clustering),
        ("sentence-similarity", EmbedPrompt::SentenceSimilarity),
        ("code-retrieval", EmbedPrompt::CodeRetrieval),
    ];

    /// The prompt of a name in [`ALL`](Self::ALL).
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], with the names that there are.
    pub fn named(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, prompt)| prompt.clone()).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|(name, _)| *name).collect();
            Error::InvalidArgument { name: "prompt", value: format!("{name:?}"), reason: format!("is none of {}", names.join(", ")) }
        })
    }

    /// The text that the model is given.
    pub fn of(&self, text: &str) -> String {
        let task = match self {
            EmbedPrompt::None => return text.to_owned(),
            EmbedPrompt::Document(title) => return format!("title: {} | text: {text}", title.as_deref().unwrap_or("none")),
            EmbedPrompt::Query => "search result",
            EmbedPrompt::QuestionAnswering => "question answering",
            EmbedPrompt::FactChecking => "fact checking",
            EmbedPrompt::Classification => "classification",
            EmbedPrompt::Clustering => "clustering",
            EmbedPrompt::SentenceSimilarity => "sentence similarity",
            EmbedPrompt::CodeRetrieval => "code retrieval",
        };
        format!("task: {task} | query: {text}")
    }
}

/// How texts become embeddings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedOptions {
    pub prompt: EmbedPrompt,
    /// Values of an embedding: the first of those that the model gives, normalised anew; all where `None`.
    /// [`ModelInfo::embedding`] are those that it was trained for.
    pub dims: Option<u32>,
    /// Texts longer than the context are cut; else they are refused.
    pub truncate: bool,
}

impl Default for EmbedOptions {
    fn default() -> Self {
        EmbedOptions { prompt: EmbedPrompt::None, dims: None, truncate: true }
    }
}

/// Embeddings, in the order of their texts.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Embeddings {
    /// Values of each.
    pub dims: u32,
    /// Of length 1: the product of two is the cosine of their angle.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens that the model read of each text, those of the prompt, beginning and end included.
    pub tokens: Vec<u32>,
    /// The texts that were cut, by their places.
    pub truncated: Vec<usize>,
}

struct Inner {
    loaded: LoadedEncoder,
    tokenizer: Tokenizer,
    info: ModelInfo,
}

/// An embedding model on a GPU; clones share it.
///
/// ```no_run
/// use rullama::{Cancel, EmbedOptions, EmbedPrompt, Embedder, LoadOptions};
/// use rullama::source::FileSource;
/// use std::sync::Arc;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let source = Arc::new(FileSource::open("embeddinggemma.gguf")?);
/// let embedder = Embedder::load(source, LoadOptions::default(), &Cancel::new(), &mut |_| ()).await?;
/// let options = EmbedOptions { prompt: EmbedPrompt::Query, dims: Some(256), ..Default::default() };
/// let query = embedder.embed(&["How is bread made?"], &options, &Cancel::new()).await?;
/// assert_eq!(query.vectors[0].len(), 256);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Embedder(Arc<Inner>);

impl Embedder {
    /// Opens the adapter and loads an embedding model from any source. Of the options, adapter and context count.
    ///
    /// # Errors
    /// A file that is no embedding model or is damaged, an adapter that cannot hold it, a kernel that miscomputes: see [`Error::code`].
    pub async fn load(
        source: Arc<dyn ByteSource>,
        options: LoadOptions,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Embedder, Error> {
        Self::load_with(None, source, options, cancel, progress).await
    }

    /// As [`load`](Self::load), on a device that is open already, beside what else runs there.
    pub async fn load_on(
        device: Device,
        source: Arc<dyn ByteSource>,
        options: LoadOptions,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Embedder, Error> {
        Self::load_with(Some(device), source, options, cancel, progress).await
    }

    #[allow(clippy::arc_with_non_send_sync, reason = "GPU handles are not Send in a browser, where everything is one thread")]
    async fn load_with(
        device: Option<Device>,
        source: Arc<dyn ByteSource>,
        options: LoadOptions,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Embedder, Error> {
        progress(Progress::Header);
        let mut gguf = Gguf::open(&*source).await?;
        let encoder = rullama_model::model::open_encoder(&gguf)?;
        let facts = encoder.facts().clone();
        if let Some(context) = options.context.filter(|context| !(3..=facts.context).contains(context)) {
            let reason = format!("is outside 3..={}", facts.context);
            return Err(Error::InvalidArgument { name: "context", value: context.to_string(), reason });
        }
        let tokenizer = take_embedded_pieces(&mut gguf.metadata, facts.vocab)?;
        let device = match device {
            Some(device) => device,
            None => Device::open(&options.adapter()).await?,
        };
        let name = MetadataError::optional(gguf.metadata.str("general.name"))?.unwrap_or("unnamed").to_string();
        // Seconds of putting weights on the GPU end where the self-test begins.
        let (started, mut load_seconds) = (Instant::now(), 0.0);
        let mut report = |stage| {
            load_seconds = if stage == Stage::SelfTest { started.elapsed().as_secs_f64() } else { load_seconds };
            progress(match stage {
                Stage::Weights { done, total } => Progress::Weights { done, total },
                Stage::SelfTest => Progress::SelfTest,
            });
            !cancel.is_cancelled()
        };
        let loaded = LoadedEncoder::load(device, encoder, &*source, options.context, &mut report).await?;
        let info = info(&loaded, name, load_seconds).await;
        progress(Progress::Ready);
        Ok(Embedder(Arc::new(Inner { loaded, tokenizer, info })))
    }

    pub fn info(&self) -> &ModelInfo {
        &self.0.info
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.0.tokenizer
    }

    pub fn device(&self) -> &Device {
        &self.0.loaded.device
    }

    pub fn memory(&self) -> MemoryReport {
        MemoryReport { gpu: self.device().allocated(), tokenizer: self.tokenizer().memory_bytes() as u64 }
    }

    /// Ids of a text between beginning and end of sequence; special tokens in it stay characters. Not cut.
    pub fn ids(&self, text: &str) -> Vec<u32> {
        let tokenizer = self.tokenizer();
        let mut ids = vec![tokenizer.bos()];
        ids.extend(tokenizer.encode_plain(text));
        ids.push(tokenizer.eos());
        ids
    }

    /// Embeddings of texts, as many in a step as it holds.
    ///
    /// # Errors
    /// A length that the model does not have, a text that is too long and may not be cut, [`Error::Cancelled`], a lost device.
    pub async fn embed<S: AsRef<str>>(&self, texts: &[S], options: &EmbedOptions, cancel: &Cancel) -> Result<Embeddings, Error> {
        let dims = self.dims(options.dims)?;
        let mut out = Embeddings { dims, ..Default::default() };
        let mut waiting: Vec<Vec<u32>> = Vec::new();
        for (place, text) in texts.iter().enumerate() {
            let ids = self.bounded(place, &options.prompt.of(text.as_ref()), options.truncate, &mut out)?;
            out.tokens.push(ids.len() as u32);
            let tokens = waiting.iter().map(Vec::len).sum::<usize>() + ids.len();
            if !self.0.loaded.fits(waiting.len() + 1, tokens) {
                self.step(&waiting, &mut out, cancel).await?;
                waiting.clear();
            }
            waiting.push(ids);
        }
        if !waiting.is_empty() {
            self.step(&waiting, &mut out, cancel).await?;
        }
        Ok(out)
    }

    /// The number of values that is asked for.
    fn dims(&self, asked: Option<u32>) -> Result<u32, Error> {
        let dim = self.info().dim;
        match asked {
            Some(dims) if dims == 0 || dims > dim => {
                let reason = format!("is outside 1..={dim}, the values that this model gives");
                Err(Error::InvalidArgument { name: "dimensions", value: dims.to_string(), reason })
            }
            asked => Ok(asked.unwrap_or(dim)),
        }
    }

    /// Ids of a text, cut to the context before the end of sequence.
    fn bounded(&self, place: usize, text: &str, truncate: bool, out: &mut Embeddings) -> Result<Vec<u32>, Error> {
        let (mut ids, context) = (self.ids(text), self.info().context);
        if ids.len() > context as usize {
            if !truncate {
                return Err(Error::TextTooLong { place, tokens: ids.len() as u64, context });
            }
            ids.truncate(context as usize - 1);
            ids.push(self.tokenizer().eos());
            out.truncated.push(place);
        }
        Ok(ids)
    }

    async fn step(&self, ids: &[Vec<u32>], out: &mut Embeddings, cancel: &Cancel) -> Result<(), Error> {
        let texts: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
        let outputs = self.stages(&texts, false, cancel).await?;
        let Some((values, cols)) = outputs.get("embedding") else { return Ok(()) };
        for values in values.chunks_exact(*cols as usize) {
            let vector = normalised(&values[..out.dims as usize]);
            out.vectors
                .push(vector.ok_or_else(|| Error::NotANumber { place: format!("the embedding of text {}", out.vectors.len() + 1) })?);
        }
        Ok(())
    }

    /// What the model makes of ids, as many texts as fit a step: `embedding` before it is normalised, and with `all` the stages before,
    /// for comparison with other programs.
    ///
    /// # Errors
    /// Texts that do not fit a step, ids outside the vocabulary, [`Error::Cancelled`], a lost device.
    pub async fn stages(&self, texts: &[&[u32]], all: bool, cancel: &Cancel) -> Result<EncoderOutputs, Error> {
        Ok(self.0.loaded.encode(texts, all, &|| cancel.is_cancelled()).await?)
    }
}

async fn info(loaded: &LoadedEncoder, name: String, load_seconds: f64) -> ModelInfo {
    let (device, facts) = (&loaded.device, loaded.encoder.facts());
    let banned = loaded.banned().await;
    ModelInfo {
        name,
        layers: facts.layers,
        dim: facts.dim,
        vocab: facts.vocab,
        heads: facts.heads,
        window: facts.window,
        context: loaded.context,
        trained_context: facts.context,
        per_layer: 0,
        ple: "none",
        experts: "none",
        expert_places: 0,
        kv: "none",
        drafter: false,
        products: "exact",
        persistent: false,
        embedding: facts.lengths.clone(),
        bytes_per_token: 0,
        device: device.name().into(),
        driver: device.driver(),
        backend: device.backend(),
        subgroups: device.caps().subgroups.is_some(),
        large_template: false,
        load_seconds,
        loaded_bytes: loaded.loaded_bytes,
        disabled_kernels: banned.iter().map(|(op, variant)| format!("{op}/{variant}")).collect(),
    }
}

/// The values at length 1, summed in f64; zeros stay. `None` where some are no numbers.
fn normalised(values: &[f32]) -> Option<Vec<f32>> {
    let length = values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
    let scale = length.max(1e-12).recip();
    length.is_finite().then(|| values.iter().map(|v| (f64::from(*v) * scale) as f32).collect())
}

impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedder").field("info", &self.0.info).finish_non_exhaustive()
    }
}
