//! What a model is to the rest of the engine, and the list of those that there are.

use crate::drafter::Drafter;
use crate::encoder::Encoder;
use crate::lora::Terms;
use crate::tower::{Sense, Tower};
use crate::weights::{Specs, Table};
use crate::{ModelError, embedding_gemma, gemma4};
use rullama_ops::{Graph, KvType};
use rullama_quant::DType;
use rullama_source::gguf::{Gguf, Metadata};
use std::fmt::Debug;
use std::sync::Arc;

/// Rows whose logits are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rows {
    /// None: only the caches are filled.
    None,
    /// The last token's.
    Last,
    /// Every token's.
    All,
}

/// What a step looks like; graphs are built once for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    pub tokens: u32,
    pub rows: Rows,
    /// The step reads [`Words::StepId`](rullama_ops::Words::StepId) and `StepState`, which the sampler advances.
    pub decode: bool,
    /// Rows of the table that may be streamed which have a place on the GPU, found by
    /// [`Words::RowPlaces`](rullama_ops::Words::RowPlaces); 0: all are there.
    pub slots: u32,
    /// Keep the hidden states, from unfused operations.
    pub taps: bool,
    /// Keep what the last layer left of the rows whose logits are wanted: output [`HIDDEN`](crate::drafter::HIDDEN).
    pub hidden: bool,
    /// Some rows are soft embeddings: input [`SOFT_ROWS`], at the places that [`Words::SoftPlaces`](rullama_ops::Words::SoftPlaces)
    /// names; of a model with [`Facts::blocks`] the last keys that tokens see are
    /// [`Words::BlockEnds`](rullama_ops::Words::BlockEnds).
    pub soft: bool,
    /// Nothing comes before the step: its tokens are packed examples (see [`Words::Starts`](rullama_ops::Words::Starts)), their keys and
    /// values are values of the step, and it ends with the last norm (output `final_norm`), so that it can be trained.
    pub packed: bool,
    /// Experts that a layer's weights have places for, where they come from the file as they are needed; 0: all are on the GPU. The
    /// step then reads [`EXPERT_PLACES`], and what it chose are outputs `expert_ids_N`.
    pub pool: u32,
    pub kv: KvType,
}

/// The input that holds soft embeddings, `[tokens, dim]`: the first rows count.
pub const SOFT_ROWS: &str = "soft embeddings";

/// Inputs that hold where each slot's expert stands in the pool, `[tokens, used]`: of layers that run for all tokens, and of those that
/// run for the last. See [`ExpertProduct::pool_of`](rullama_ops::ExpertProduct::pool_of).
pub const EXPERT_PLACES: [&str; 2] = ["places of experts", "places of the last token's experts"];

/// Sizes and habits of a model, for those who run it.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    pub layers: usize,
    pub dim: u32,
    pub vocab: u32,
    pub heads: u32,
    /// Keys that a sliding layer sees.
    pub window: u32,
    /// Tokens the model was trained for.
    pub context: u32,
    /// Width of a layer's part of the per-layer embeddings; 0: the model has none.
    pub per_layer: u32,
    /// Experts in a layer that has some; 0: the model has none.
    pub experts: u32,
    /// Of these, how many a token goes to.
    pub experts_used: u32,
    /// Ids that are never generated.
    pub suppress: Vec<u32>,
    /// Prompts name an empty thought where thinking is off.
    pub empty_thought: bool,
    /// On sliding layers the soft tokens of a picture see each other both ways, so that a step holds all of them.
    pub blocks: bool,
}

/// A layer's cache: keys and values of `width` = kv_heads * head_dim values a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheSpec {
    pub layer: usize,
    pub width: u32,
    /// Keys that are read of it; all where `None`.
    pub window: Option<u32>,
}

/// A table whose rows may stay in the file, and are gathered: key of its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streamed {
    pub key: &'static str,
}

/// What makes logits of the last norm: `softcap(x Wᵀ)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Head {
    /// Key of the weight `[vocab, dim]`.
    pub key: &'static str,
    pub dtype: DType,
    /// 0: none.
    pub softcap: f32,
}

/// The few functions that a model has.
pub trait Model: Debug + Send + Sync {
    fn facts(&self) -> &Facts;

    /// The weights and tables that its graphs name.
    fn specs(&self) -> &Specs;

    /// Tables that are computed for a context, given those of the file.
    ///
    /// # Errors
    /// A value of the file that cannot be.
    fn tables(&self, file: &[Table], context: u32) -> Result<Vec<Table>, ModelError>;

    /// The algebra of a step with the terms of what is attached or trained; output `logits`, unless no rows are wanted.
    fn forward(&self, shape: Shape, tables: &[Table], terms: &Terms) -> Graph;

    fn head(&self) -> Head;

    /// Inputs and outputs of the linear layer with this base name in the file, as `blk.3.attn_q`; [`lora::HEAD`](crate::lora::HEAD)
    /// is the head also where its weight is the embedding's. `None`: the model has no such layer.
    fn linear(&self, key: &str) -> Option<(u32, u32)>;

    /// Reads a file as a drafter of this model.
    ///
    /// # Errors
    /// No drafter, or another model's; a missing, absurd or contradictory key; a missing tensor or one of another shape.
    fn drafter(&self, gguf: &Gguf) -> Result<Arc<dyn Drafter>, ModelError>;

    fn caches(&self) -> Vec<CacheSpec>;

    /// The table whose rows may be streamed.
    fn streamed(&self) -> Option<Streamed>;

    /// Names of the outputs that `taps` keeps, in the order of the layers.
    fn taps(&self) -> Vec<String>;

    /// Its architecture for people: names of properties, and what they are.
    fn describe(&self) -> Vec<(&'static str, String)>;

    /// Weight bytes that decoding one token reads.
    fn bytes_per_token(&self) -> u64;
}

/// The architectures that [`open`] knows, for messages.
pub const ARCHITECTURES: &str = "`gemma4` (Gemma 4)";

/// The encoders that [`open_encoder`] knows, for messages.
pub const ENCODERS: &str = "EmbeddingGemma (`gemma-embedding`, or `gemma3` with dense heads)";

/// Reads which model a file is, and checks its keys and tensors.
///
/// # Errors
/// Another architecture; a missing, absurd or contradictory key; a missing tensor or one of another shape.
pub fn open(gguf: &Gguf) -> Result<Arc<dyn Model>, ModelError> {
    match gguf.metadata.str("general.architecture")? {
        gemma4::ARCHITECTURE => Ok(Arc::new(gemma4::Gemma4::read(gguf)?)),
        gemma4::DRAFTER => Err(ModelError::IsDrafter),
        found if embedding_gemma::is(gguf) => Err(ModelError::IsEncoder { found: found.into() }),
        other => Err(ModelError::Architecture { found: other.into() }),
    }
}

/// The same for a model that makes embeddings of texts.
///
/// # Errors
/// Another model; a missing, absurd or contradictory key; a missing tensor or one of another shape.
pub fn open_encoder(gguf: &Gguf) -> Result<Arc<dyn Encoder>, ModelError> {
    match gguf.metadata.str("general.architecture")? {
        _ if embedding_gemma::is(gguf) => Ok(Arc::new(embedding_gemma::EmbeddingGemma::read(gguf)?)),
        other => Err(ModelError::NoEncoder { found: other.into() }),
    }
}

/// The tower of a sense in a file of a model or of towers alone, for a text model of width `dim`; `None` where the file has none.
///
/// # Errors
/// A missing, absurd or contradictory key; a missing tensor or one of another shape; a tower of another model.
pub fn open_tower(gguf: &Gguf, sense: Sense, dim: u32) -> Result<Option<Arc<dyn Tower>>, ModelError> {
    gemma4::open_tower(gguf, sense, dim)
}

/// Whether prompts of a file's model name an empty thought where thinking is off; its metadata is enough to tell.
pub fn empty_thought(metadata: &Metadata) -> bool {
    match metadata.str("general.architecture") {
        Ok(gemma4::ARCHITECTURE) => gemma4::empty_thought(metadata),
        _ => true,
    }
}
