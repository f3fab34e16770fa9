//! Hyperparameters, from GGUF metadata.

use super::ARCHITECTURE;
use super::keys::{self, Keys};
use crate::ModelError;
use rullama_ops::MOST_EXPERTS;
use rullama_source::gguf::{Gguf, MetadataError};

/// How a layer attends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Span {
    /// The last `sliding_window` keys, the token's own included.
    Sliding,
    /// Every earlier key.
    Global,
}

/// One decoder layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    pub span: Span,
    pub kv_heads: u32,
    pub head_dim: u32,
    pub ffn: u32,
    /// The layer whose keys and values it reads: itself, or for shared layers the last
    /// layer of its span that has its own.
    pub donor: usize,
    /// Values are the raw keys: the file has no `attn_v`.
    pub values_are_keys: bool,
    /// Experts stand beside its feed-forward block.
    pub experts: bool,
}

/// The experts of a layer that has some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Experts {
    pub count: u32,
    /// Those that a token goes to.
    pub used: u32,
    pub ffn: u32,
}

/// A Gemma 4 text decoder. Source: `gemma4.*` keys as llama.cpp and Ollama write them.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub layers: Vec<Layer>,
    pub dim: u32,
    pub vocab: u32,
    pub heads: u32,
    pub eps: f32,
    /// Logits are `cap tanh(logits / cap)`; 0 leaves them.
    pub softcap: f32,
    /// Width of a layer's part of the per-layer embeddings; 0: the model has none.
    pub per_layer: u32,
    pub window: u32,
    pub experts: Option<Experts>,
    pub rope_base: f64,
    pub rope_base_sliding: f64,
    /// Tokens the model was trained for.
    pub context: u32,
    /// Ids that are never generated.
    pub suppress: Vec<u32>,
}

fn bad(key: &str, value: impl ToString, reason: &str) -> ModelError {
    keys::bad(ARCHITECTURE, key, value, reason)
}

impl Config {
    /// Reads and checks the configuration.
    ///
    /// # Errors
    /// Another architecture; a missing, absurd or contradictory key.
    pub fn read(gguf: &Gguf) -> Result<Self, ModelError> {
        let architecture = gguf.metadata.str("general.architecture")?;
        if architecture != ARCHITECTURE {
            return Err(ModelError::Architecture { found: architecture.into() });
        }
        match MetadataError::optional(gguf.metadata.str("general.type"))? {
            Some("adapter") => return Err(ModelError::Architecture { found: "gemma4 adapter (LoRA)".into() }),
            Some(part @ ("mmproj" | "vocab" | "imatrix")) => return Err(ModelError::Architecture { found: format!("gemma4 {part}") }),
            _ => {}
        }
        let keys = Keys { gguf, of: ARCHITECTURE };
        let count = keys.size("block_count", 1024)? as usize;
        let embed = gguf.tensors.get("token_embd.weight").ok_or_else(|| ModelError::MissingTensor { name: "token_embd.weight".into() })?;
        let vocab = u32::try_from(embed.rows()).ok().filter(|v| (1..=1 << 24).contains(v));
        let layers = layers(&keys, count)?;
        let config = Config {
            experts: experts(&keys, &layers)?,
            layers,
            dim: keys.size("embedding_length", 1 << 16)?,
            vocab: vocab.ok_or_else(|| bad("token_embd", embed.rows(), "is no vocabulary size"))?,
            heads: keys.size("attention.head_count", 1024)?,
            eps: keys.positive_or("attention.layer_norm_rms_epsilon", 1e-6)?,
            softcap: keys.f32_or("final_logit_softcapping", 0.0)?,
            per_layer: keys.u32_or("embedding_length_per_layer_input", 0)?,
            window: keys.size("attention.sliding_window", 1 << 20)?,
            rope_base: f64::from(keys.positive_or("rope.freq_base", 1e6)?),
            rope_base_sliding: f64::from(keys.positive_or("rope.freq_base_swa", keys.f32_or("rope.local.freq_base", 1e4)?)?),
            context: keys.size("context_length", 1 << 24)?,
            suppress: MetadataError::optional(gguf.metadata.u32_array("tokenizer.ggml.suppress_tokens"))?.unwrap_or_default(),
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ModelError> {
        if !self.dim.is_multiple_of(32) {
            return Err(bad("embedding_length", self.dim, "is not a multiple of 32"));
        }
        if !self.per_layer.is_multiple_of(32) || self.per_layer > 1 << 14 {
            return Err(bad("embedding_length_per_layer_input", self.per_layer, "is not a sane multiple of 32"));
        }
        if !self.softcap.is_finite() || self.softcap < 0.0 {
            return Err(bad("final_logit_softcapping", self.softcap, "is not a number of at least 0"));
        }
        for layer in &self.layers {
            if !self.heads.is_multiple_of(layer.kv_heads) {
                return Err(bad("attention.head_count_kv", layer.kv_heads, &format!("does not divide {} heads", self.heads)));
            }
            if !layer.head_dim.is_multiple_of(32) || layer.head_dim > 512 {
                return Err(bad("attention.key_length", layer.head_dim, "is not a multiple of 32 up to 512"));
            }
            if !layer.ffn.is_multiple_of(32) {
                return Err(bad("feed_forward_length", layer.ffn, "is not a multiple of 32"));
            }
        }
        Ok(())
    }

    /// Layers with their own keys and values; they come first.
    pub fn own_layers(&self) -> usize {
        self.layers.iter().enumerate().filter(|(i, layer)| layer.donor == *i).count()
    }
}

fn layers(keys: &Keys, count: usize) -> Result<Vec<Layer>, ModelError> {
    let spans = keys.spans(count)?;
    let shared = keys.u32_or("attention.shared_kv_layers", 0)? as usize;
    if shared >= count {
        return Err(bad("attention.shared_kv_layers", shared, "leaves no layer with keys of its own"));
    }
    let own = count - shared;
    let heads = keys.size("attention.head_count", 1024)?;
    let ffn = keys.per_layer("feed_forward_length", count, 1 << 20)?;
    let mut kv_heads = keys.per_layer("attention.head_count_kv", count, 1024)?;
    let global_kv = keys.u32_or("attention.global_head_count_kv", 0)?;
    if global_kv > 1024 {
        return Err(bad("attention.global_head_count_kv", global_kv, "is above 1024"));
    }
    let head_dim = keys.size("attention.key_length", 512)?;
    let head_dim_sliding = keys.u32_or("attention.key_length_swa", head_dim)?;
    let mut all = Vec::with_capacity(count);
    for i in 0..count {
        let span = spans[i];
        if span == Span::Global && global_kv > 0 {
            kv_heads[i] = global_kv;
        }
        let donor = if i < own { Some(i) } else { (0..own).rev().find(|j| spans[*j] == span) };
        let donor =
            donor.ok_or_else(|| bad("attention.shared_kv_layers", shared, &format!("leaves layer {i} without a donor of its kind")))?;
        let head_dim = if span == Span::Sliding { head_dim_sliding } else { head_dim };
        // A joined tensor holds values when its rows are more than queries' and keys'.
        let joined = keys.gguf.tensors.get(&format!("blk.{i}.attn_qkv.weight")).map(|tensor| tensor.rows());
        let without_values = u64::from(heads + kv_heads[donor]) * u64::from(head_dim);
        let has_values = keys.gguf.tensors.contains(&format!("blk.{i}.attn_v.weight")) || joined.is_some_and(|rows| rows > without_values);
        let values_are_keys = i < own && !has_values;
        let experts = has_experts(keys.gguf, i);
        all.push(Layer { span, kv_heads: kv_heads[donor], head_dim, ffn: ffn[i], donor, values_are_keys, experts });
    }
    Ok(all)
}

/// Whether a layer has experts: any of the tensors that they cannot be without.
fn has_experts(gguf: &Gguf, layer: usize) -> bool {
    let names = ["ffn_gate_inp", "ffn_gate_up_exps", "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"];
    names.iter().any(|name| gguf.tensors.contains(&format!("blk.{layer}.{name}.weight")))
}

/// How many experts there are, if layers have some.
fn experts(keys: &Keys, layers: &[Layer]) -> Result<Option<Experts>, ModelError> {
    if !layers.iter().any(|layer| layer.experts) {
        return match keys.u32_or("expert_count", 0)? {
            0 => Ok(None),
            _ => Err(ModelError::MissingTensor { name: "blk.0.ffn_gate_inp.weight".into() }),
        };
    }
    let count = keys.size("expert_count", MOST_EXPERTS)?;
    let used = keys.u32("expert_used_count")?;
    if used == 0 || used > count {
        return Err(bad("expert_used_count", used, &format!("is outside 1..={count}, the experts that there are")));
    }
    let ffn = keys.size("expert_feed_forward_length", 1 << 20)?;
    if !ffn.is_multiple_of(32) {
        return Err(bad("expert_feed_forward_length", ffn, "is not a multiple of 32"));
    }
    Ok(Some(Experts { count, used, ffn }))
}
