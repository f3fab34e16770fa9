//! Hyperparameters, from GGUF metadata of both dialects.

use crate::ModelError;
use rullama_source::gguf::{Gguf, MetadataError};

/// `general.architecture` as llama.cpp has it.
pub const ARCHITECTURE: &str = "gemma-embedding";

/// The same in Ollama's earlier files, where dense heads tell it from the text model of that name.
pub const EARLIER: &str = "gemma3";

/// Base names of the dense heads' tensors, by dialect.
const HEADS: [[&str; 2]; 2] = [["dense_2", "dense_3"], ["dense.0", "dense.1"]];

/// A product behind the pooled states.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseHead {
    /// Base name of its tensor.
    pub name: &'static str,
    pub inputs: u32,
    pub outputs: u32,
}

/// An EmbeddingGemma encoder. Source: `gemma-embedding.*` keys as llama.cpp writes them, `gemma3.*` as Ollama did.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Of each layer, whether its window slides; the others see the whole text.
    pub sliding: Vec<bool>,
    pub dim: u32,
    pub vocab: u32,
    pub heads: u32,
    pub kv_heads: u32,
    pub head_dim: u32,
    pub ffn: u32,
    pub eps: f32,
    /// A sliding layer's token sees those at most half of it away.
    pub window: u32,
    pub rope_base: f64,
    pub rope_base_sliding: f64,
    /// Tokens of the longest text.
    pub context: u32,
    /// In the order of their use; none where the pooled states are the result.
    pub dense: Vec<DenseHead>,
}

/// Whether a file is one of these models.
pub fn is(gguf: &Gguf) -> bool {
    match gguf.metadata.str("general.architecture") {
        Ok(ARCHITECTURE) => true,
        Ok(EARLIER) => HEADS.iter().any(|names| gguf.tensors.contains(&format!("{}.weight", names[0]))),
        _ => false,
    }
}

/// Reads keys of the file's dialect.
struct Keys<'a> {
    gguf: &'a Gguf,
    prefix: &'static str,
}

impl Keys<'_> {
    fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.prefix)
    }

    fn bad(&self, key: &str, value: impl ToString, reason: impl Into<String>) -> ModelError {
        ModelError::Config { key: self.name(key), value: value.to_string(), reason: reason.into() }
    }

    fn u32_or(&self, key: &str, default: u32) -> Result<u32, ModelError> {
        Ok(MetadataError::optional(self.gguf.metadata.u32(&self.name(key)))?.unwrap_or(default))
    }

    fn f32_or(&self, key: &str, default: f32) -> Result<f32, ModelError> {
        Ok(MetadataError::optional(self.gguf.metadata.f32(&self.name(key)))?.unwrap_or(default))
    }

    fn size(&self, key: &str, max: u32) -> Result<u32, ModelError> {
        let value = self.gguf.metadata.u32(&self.name(key))?;
        if value == 0 || value > max { Err(self.bad(key, value, format!("is outside 1..={max}"))) } else { Ok(value) }
    }

    fn positive(&self, key: &str, default: f32) -> Result<f32, ModelError> {
        let value = self.f32_or(key, default)?;
        if value.is_finite() && value > 0.0 { Ok(value) } else { Err(self.bad(key, value, "is not a positive number")) }
    }

    fn multiple(&self, key: &str, max: u32) -> Result<u32, ModelError> {
        let value = self.size(key, max)?;
        if value.is_multiple_of(32) { Ok(value) } else { Err(self.bad(key, value, "is not a multiple of 32")) }
    }
}

impl Config {
    /// Reads and checks the configuration.
    ///
    /// # Errors
    /// A missing, absurd or contradictory key; a dense head of another shape than its keys say.
    pub fn read(gguf: &Gguf) -> Result<Self, ModelError> {
        let prefix = if gguf.metadata.str("general.architecture")? == EARLIER { EARLIER } else { ARCHITECTURE };
        let keys = Keys { gguf, prefix };
        let count = keys.size("block_count", 1024)? as usize;
        let embed = gguf.tensors.get("token_embd.weight").ok_or_else(|| ModelError::MissingTensor { name: "token_embd.weight".into() })?;
        let vocab = u32::try_from(embed.rows()).ok().filter(|v| (1..=1 << 24).contains(v));
        let vocab = vocab.ok_or_else(|| ModelError::Shape {
            name: "token_embd.weight".into(),
            expected: vec![embed.cols(), 1 << 24],
            found: embed.dims.clone(),
        })?;
        let dim = keys.multiple("embedding_length", 1 << 16)?;
        let (heads, kv_heads) = (keys.size("attention.head_count", 1024)?, keys.size("attention.head_count_kv", 1024)?);
        if !heads.is_multiple_of(kv_heads) {
            return Err(keys.bad("attention.head_count_kv", kv_heads, format!("does not divide {heads} heads")));
        }
        let config = Config {
            sliding: pattern(&keys, count)?,
            dim,
            vocab,
            heads,
            kv_heads,
            head_dim: keys.multiple("attention.key_length", 512)?,
            ffn: keys.multiple("feed_forward_length", 1 << 20)?,
            eps: keys.positive("attention.layer_norm_rms_epsilon", 1e-6)?,
            window: keys.size("attention.sliding_window", 1 << 20)?,
            rope_base: keys.positive("rope.freq_base", keys.f32_or("rope.global.freq_base", 1e6)?)?.into(),
            rope_base_sliding: keys.positive("rope.freq_base_swa", keys.f32_or("rope.local.freq_base", 1e4)?)?.into(),
            context: keys.size("context_length", 1 << 24)?,
            dense: dense(&keys, dim)?,
        };
        config.refuse(&keys)?;
        Ok(config)
    }

    /// Refuses what would make another model of the file than is computed here.
    fn refuse(&self, keys: &Keys) -> Result<(), ModelError> {
        let values = keys.u32_or("attention.value_length", self.head_dim)?;
        if values != self.head_dim {
            return Err(keys.bad("attention.value_length", values, format!("is not the length {} of keys", self.head_dim)));
        }
        let pooling = keys.u32_or("pooling_type", 1)?;
        if pooling != 1 {
            return Err(keys.bad("pooling_type", pooling, "is not 1, the mean over the tokens"));
        }
        let factor = keys.f32_or("rope.scaling.factor", 1.0)?;
        if factor != 1.0 {
            return Err(keys.bad("rope.scaling.factor", factor, "scales positions, which EmbeddingGemma does not"));
        }
        Ok(())
    }

    /// Values of an embedding.
    pub fn outputs(&self) -> u32 {
        self.dense.last().map_or(self.dim, |head| head.outputs)
    }
}

/// Which layers slide: as an array says, all but each n-th, or all but each sixth.
fn pattern(keys: &Keys, count: usize) -> Result<Vec<bool>, ModelError> {
    let key = "attention.sliding_window_pattern";
    let name = keys.name(key);
    let each = |n: usize| (0..count).map(|i| i % n != n - 1).collect();
    match keys.gguf.metadata.u32(&name) {
        Ok(0) => return Err(keys.bad(key, 0, "is no distance of layers")),
        Ok(n) => return Ok(each(n as usize)),
        Err(_) => {}
    }
    match MetadataError::optional(keys.gguf.metadata.bool_array(&name))? {
        Some(pattern) if pattern.len() == count => Ok(pattern),
        Some(pattern) => Err(keys.bad(key, format!("an array of {}", pattern.len()), format!("should have {count} elements"))),
        None => Ok(each(6)),
    }
}

/// The dense heads of the dialect that the file has, in the sizes of their tensors.
fn dense(keys: &Keys, dim: u32) -> Result<Vec<DenseHead>, ModelError> {
    let tensor = |name: &str| keys.gguf.tensors.get(&format!("{name}.weight"));
    let Some(names) = HEADS.into_iter().find(|names| names.iter().any(|name| tensor(name).is_some())) else { return Ok(Vec::new()) };
    let mut heads: Vec<DenseHead> = Vec::new();
    for (i, name) in names.into_iter().enumerate() {
        let full = format!("{name}.weight");
        let info = tensor(name).ok_or_else(|| ModelError::MissingTensor { name: full.clone() })?;
        let inputs = heads.last().map_or(dim, |head| head.outputs);
        let outputs = u32::try_from(info.rows()).ok().filter(|rows| (32..=1 << 16).contains(rows) && rows.is_multiple_of(32));
        let wrong =
            |expected: u64| ModelError::Shape { name: full.clone(), expected: vec![inputs.into(), expected], found: info.dims.clone() };
        let outputs = outputs.ok_or_else(|| wrong(info.rows().clamp(32, 1 << 16).next_multiple_of(32)))?;
        for (key, size) in [("in", inputs), ("out", outputs)] {
            let key = format!("dense_{}_feat_{key}", i + 2);
            let said = keys.u32_or(&key, size)?;
            if said != size {
                return Err(keys.bad(&key, said, format!("is not the {size} of tensor `{full}`")));
            }
        }
        if info.dims != [u64::from(inputs), u64::from(outputs)] {
            return Err(wrong(outputs.into()));
        }
        heads.push(DenseHead { name, inputs, outputs });
    }
    Ok(heads)
}
