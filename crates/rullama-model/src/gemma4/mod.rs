//! Gemma 4: configuration, the weights it needs, and the text decoder.

mod config;
mod drafter;
mod experts;
mod hearing;
mod keys;
mod rope;
mod text;
mod towers;
mod unused;
mod vision;
mod weights;

pub use config::{Config, Experts, Layer, Span};
pub use drafter::ARCHITECTURE as DRAFTER;

use crate::ModelError;
use crate::drafter::Drafter;
use crate::lora::{EMBEDDING, HEAD, Terms};
use crate::model::{CacheSpec, Facts, Head, Model, Shape, Streamed};
use crate::tower::{Sense, Tower};
use crate::weights::{Specs, Stack, Table, WeightSpec};
use rullama_ops::Graph;
use rullama_quant::DType;
use rullama_source::gguf::{Gguf, Metadata};
use std::sync::Arc;

/// `general.architecture` of its files.
pub const ARCHITECTURE: &str = "gemma4";

/// Key of the per-layer table among the weights.
const PER_LAYER_TABLE: &str = "per_layer_token_embd";

/// Base name of the projection of per-layer embeddings; its weights hold parts of it.
const PER_LAYER_PROJECTION: &str = "per_layer_model_proj";

/// True of the models without per-layer embeddings (12B and above).
pub fn empty_thought(metadata: &Metadata) -> bool {
    metadata.u32("gemma4.embedding_length_per_layer_input").unwrap_or(0) == 0
}

/// The tower of a sense in a file of a model, or of towers alone (llama.cpp's `mmproj`), for a text model of width `dim`.
///
/// # Errors
/// A missing, absurd or contradictory key; a missing tensor or one of another shape; a tower of another model.
pub fn open_tower(gguf: &Gguf, sense: Sense, dim: u32) -> Result<Option<Arc<dyn Tower>>, ModelError> {
    match sense {
        Sense::Vision => vision::open(gguf, dim),
        Sense::Hearing => hearing::open(gguf, dim),
    }
}

/// A text decoder of the family, as a file describes it.
#[derive(Debug)]
pub struct Gemma4 {
    pub config: Config,
    specs: Specs,
    facts: Facts,
}

impl Gemma4 {
    /// Reads and checks keys and tensors.
    ///
    /// # Errors
    /// A missing, absurd or contradictory key; a missing tensor or one of another shape.
    pub fn read(gguf: &Gguf) -> Result<Self, ModelError> {
        let config = Config::read(gguf)?;
        let specs = weights::specs(gguf, &config)?;
        let facts = Facts {
            layers: config.layers.len(),
            dim: config.dim,
            vocab: config.vocab,
            heads: config.heads,
            window: config.window,
            context: config.context,
            per_layer: config.per_layer,
            experts: config.experts.map_or(0, |experts| experts.count),
            experts_used: config.experts.map_or(0, |experts| experts.used),
            suppress: config.suppress.clone(),
            empty_thought: empty_thought(&gguf.metadata),
            // The models with per-layer embeddings are causal throughout.
            blocks: config.per_layer == 0,
        };
        Ok(Gemma4 { config, specs, facts })
    }

    /// Key of the output head: its own, or the embedding's.
    fn head_key(&self) -> &'static str {
        if self.specs.weight("output").is_some() { "output" } else { "token_embd" }
    }

    /// The format of a weight of the algebra.
    fn dtype(&self, key: &str) -> DType {
        self.specs.part(key).and_then(|placed| placed.spec.dtype().ok()).unwrap_or(DType::F32)
    }
}

impl Model for Gemma4 {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn specs(&self) -> &Specs {
        &self.specs
    }

    fn tables(&self, file: &[Table], context: u32) -> Result<Vec<Table>, ModelError> {
        rope::tables(&self.config, file, context)
    }

    fn forward(&self, shape: Shape, tables: &[Table], terms: &Terms) -> Graph {
        text::forward(self, shape, tables, terms)
    }

    fn head(&self) -> Head {
        Head { key: self.head_key(), dtype: self.dtype(self.head_key()), softcap: self.config.softcap }
    }

    fn linear(&self, key: &str) -> Option<(u32, u32)> {
        let (dim, vocab, width) = (self.config.dim, self.config.vocab, self.config.per_layer);
        match key {
            EMBEDDING | HEAD => return Some(if key == HEAD { (dim, vocab) } else { (vocab, dim) }),
            PER_LAYER_PROJECTION => return (width > 0).then_some((dim, width * self.config.layers.len() as u32)),
            _ => {}
        }
        let placed = self.specs.part(key).filter(|_| key.starts_with("blk."))?;
        let part = placed.part;
        // Experts' matrices are no one linear layer.
        (!matches!(placed.spec.stack, Stack::Experts { .. }))
            .then_some((part.tensor.cols() as u32, (part.rows.end - part.rows.start) as u32))
    }

    fn drafter(&self, gguf: &Gguf) -> Result<Arc<dyn Drafter>, ModelError> {
        Ok(Arc::new(drafter::Drafter::read(gguf, self)?))
    }

    fn caches(&self) -> Vec<CacheSpec> {
        let own = self.config.layers.iter().enumerate().filter(|(i, layer)| layer.donor == *i);
        let spec = |(layer, of): (usize, &Layer)| CacheSpec {
            layer,
            width: of.kv_heads * of.head_dim,
            window: (of.span == Span::Sliding).then_some(self.config.window),
        };
        own.map(spec).collect()
    }

    fn streamed(&self) -> Option<Streamed> {
        (self.config.per_layer > 0).then_some(Streamed { key: PER_LAYER_TABLE })
    }

    fn taps(&self) -> Vec<String> {
        let experts = ["router_in", "router_logits", "expert_ids", "expert_weights", "experts_out"];
        let layers = self.config.layers.iter().enumerate().flat_map(|(i, layer)| {
            let of_experts = experts.iter().filter(|_| layer.experts);
            of_experts.chain(&["layer"]).map(move |name| format!("{name}_{i}"))
        });
        std::iter::once("embed_scaled".to_string()).chain(layers).chain(["final_norm".to_string()]).collect()
    }

    fn describe(&self) -> Vec<(&'static str, String)> {
        let c = &self.config;
        let count = |span| c.layers.iter().filter(|layer| layer.span == span).count();
        let (sliding, global, shared) = (count(Span::Sliding), count(Span::Global), c.layers.len() - c.own_layers());
        let heads = [Span::Sliding, Span::Global].into_iter().filter_map(|span| {
            let layer = c.layers.iter().find(|layer| layer.span == span)?;
            Some(format!("{}/{} of {}", c.heads, layer.kv_heads, layer.head_dim))
        });
        let mut ffn: Vec<String> = c.layers.iter().map(|layer| layer.ffn.to_string()).collect();
        ffn.dedup();
        let layers =
            format!("{} ({sliding} sliding over {} tokens, {global} global; {shared} share keys and values)", c.layers.len(), c.window);
        let heads = heads.collect::<Vec<_>>().join(", ");
        let mut rows = vec![
            ("layers", layers),
            ("heads", format!("{heads} (query/key, size; sliding, global)")),
            ("width", format!("{}, feed-forward {}", c.dim, ffn.join(", "))),
        ];
        if let Some(Experts { count, used, ffn }) = c.experts {
            let layers = c.layers.iter().filter(|layer| layer.experts).count();
            rows.push(("experts", format!("{count} in each of {layers} layers, {used} a token, feed-forward {ffn}")));
        }
        if c.per_layer > 0 {
            rows.push(("per layer", format!("{} values of embedding in each layer", c.per_layer)));
        }
        rows
    }

    fn bytes_per_token(&self) -> u64 {
        let gathered = |spec: &&WeightSpec| spec.key == PER_LAYER_TABLE || (spec.key == "token_embd" && self.head_key() != "token_embd");
        let read = |spec: &WeightSpec| match (spec.stack, self.config.experts) {
            (Stack::Experts { .. }, Some(of)) => spec.bytes() / u64::from(of.count) * u64::from(of.used),
            _ => spec.bytes(),
        };
        let all: u64 = self.specs.weights.iter().filter(|spec| !gathered(spec)).map(read).sum();
        all + u64::from(self.config.dim) * 4
    }
}
