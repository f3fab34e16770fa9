//! EmbeddingGemma: configuration, the weights it needs, and the encoder.

mod config;
mod layers;
mod weights;

pub use config::{ARCHITECTURE, Config, DenseHead, is};

use crate::ModelError;
use crate::encoder::{Encoder, EncoderFacts, EncoderShape};
use crate::weights::{Specs, Table, WeightSpec};
use rullama_ops::{Graph, rope_tables};
use rullama_quant::DType;
use rullama_source::gguf::Gguf;

/// Lengths to which an embedding may be cut, as shares of it: 768, 512, 256 and 128 of 768.
const MATRYOSHKA: [(u32, u32); 4] = [(1, 1), (2, 3), (1, 3), (1, 6)];

/// An encoder of the family, as a file describes it.
#[derive(Debug)]
pub struct EmbeddingGemma {
    pub config: Config,
    specs: Specs,
    facts: EncoderFacts,
}

impl EmbeddingGemma {
    /// Reads and checks keys and tensors.
    ///
    /// # Errors
    /// A missing, absurd or contradictory key; a missing tensor or one of another shape.
    pub fn read(gguf: &Gguf) -> Result<Self, ModelError> {
        let config = Config::read(gguf)?;
        let specs = weights::specs(gguf, &config)?;
        let outputs = config.outputs();
        let widest = [config.dim, config.ffn, (config.heads + 2 * config.kv_heads) * config.head_dim];
        let facts = EncoderFacts {
            layers: config.sliding.len(),
            dim: outputs,
            lengths: MATRYOSHKA.iter().map(|(n, of)| outputs * n / of).collect(),
            vocab: config.vocab,
            heads: config.heads,
            window: config.window,
            context: config.context,
            widest: widest.into_iter().max().unwrap_or_default(),
        };
        Ok(EmbeddingGemma { config, specs, facts })
    }

    /// The format of a weight of the algebra.
    fn dtype(&self, key: &str) -> DType {
        self.specs.part(key).and_then(|placed| placed.spec.dtype().ok()).unwrap_or(DType::F32)
    }

    /// Rows of the upper rotation table that a step of so many tokens needs.
    fn rope_rows(tokens: u32) -> u32 {
        tokens.div_ceil(256).max(1)
    }
}

impl Encoder for EmbeddingGemma {
    fn facts(&self) -> &EncoderFacts {
        &self.facts
    }

    fn specs(&self) -> &Specs {
        &self.specs
    }

    fn tables(&self, tokens: u32) -> Vec<Table> {
        let cols = self.config.head_dim as usize;
        let of = |name: &str, base: f64| {
            let frequencies: Vec<f64> = (0..cols / 2).map(|i| base.powf(-2.0 * i as f64 / cols as f64)).collect();
            let (low, high) = rope_tables(&frequencies, tokens);
            let table = |half: &str, values: Vec<f32>| Table { key: format!("rope.{name}.{half}"), cols, values };
            [table("low", low), table("high", high)]
        };
        [of("sliding", self.config.rope_base_sliding), of("global", self.config.rope_base)].into_iter().flatten().collect()
    }

    fn forward(&self, shape: EncoderShape) -> Graph {
        layers::forward(self, shape)
    }

    fn describe(&self) -> Vec<(&'static str, String)> {
        let c = &self.config;
        let sliding = c.sliding.iter().filter(|sliding| **sliding).count();
        let lengths: Vec<String> = self.facts.lengths.iter().map(u32::to_string).collect();
        vec![
            ("layers", format!("{} ({sliding} sliding over {} tokens, {} global)", c.sliding.len(), c.window, c.sliding.len() - sliding)),
            ("heads", format!("{}/{} of {} (query/key, size)", c.heads, c.kv_heads, c.head_dim)),
            ("width", format!("{}, feed-forward {}", c.dim, c.ffn)),
            ("embedding", format!("{} values, cut to {}", self.facts.dim, lengths[1..].join(", "))),
        ]
    }

    fn bytes(&self) -> u64 {
        self.specs.weights.iter().map(WeightSpec::bytes).sum()
    }
}
