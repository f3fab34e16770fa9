//! The drafter of a Gemma 4 model: layers with queries alone, over the keys and values of its target.
//!
//! Source: `gemma4-assistant` of llama.cpp, `gemma4_assistant` of transformers, whose files they are.

mod graph;

use super::config::Span;
use super::keys::Keys;
use super::rope;
use super::weights::{File, around_attention, feed_forward, rope_factors};
use super::{Config, Gemma4};
use crate::ModelError;
use crate::weights::{Part, Specs, Stack, Table};
use rullama_ops::{Graph, KvType};
use rullama_quant::DType;
use rullama_source::gguf::{Gguf, TensorInfo};
use std::collections::HashSet;

/// `general.architecture` of its files.
pub const ARCHITECTURE: &str = "gemma4-assistant";

/// Names that the drafter's graphs have for what they read of the target.
const TARGET_EMBEDDING: &str = "target.token_embd";
const TARGET_NORM: &str = "target.output_norm";
/// What makes the layers' input of the target's values, and their hidden states of it again.
const BEFORE: &str = "nextn.pre_projection";
const AFTER: &str = "nextn.post_projection";

/// One layer.
#[derive(Debug, Clone, PartialEq)]
struct Layer {
    span: Span,
    kv_heads: u32,
    head_dim: u32,
    ffn: u32,
    /// The target's layer whose keys and values it reads: the last of its span that has its own.
    of: usize,
}

/// A drafter, as a file describes it for a target.
#[derive(Debug)]
pub struct Drafter {
    layers: Vec<Layer>,
    dim: u32,
    vocab: u32,
    heads: u32,
    eps: f32,
    window: u32,
    /// Of sliding and of global layers.
    rope_bases: [f64; 2],
    /// Width and epsilon of the target, and the format of its embedding.
    target: (u32, f32, DType),
    specs: Specs,
}

/// What has to be the target's and is not.
fn other(key: &str, found: impl ToString, expected: impl ToString) -> ModelError {
    let key = format!("{ARCHITECTURE}.{key}");
    ModelError::OtherDrafter { key, found: found.to_string(), expected: expected.to_string() }
}

/// An embedding of the drafter's own width has the target's tokens; one of another shape is damaged, which is told where it is listed.
fn check_vocabulary(gguf: &Gguf, dim: u32, vocab: u32) -> Result<(), ModelError> {
    let key = "token_embd.weight";
    match gguf.tensors.get(key) {
        Some(embedding) if embedding.cols() == u64::from(dim) && embedding.rows() != u64::from(vocab) => {
            let [found, expected] = [format!("for {} tokens", embedding.rows()), format!("for {vocab}")];
            Err(ModelError::OtherDrafter { key: key.into(), found, expected })
        }
        _ => Ok(()),
    }
}

impl Drafter {
    /// Reads and checks keys and tensors.
    ///
    /// # Errors
    /// No drafter, or another model's; a missing, absurd or contradictory key; a missing tensor or one of another shape.
    pub fn read(gguf: &Gguf, target: &Gemma4) -> Result<Self, ModelError> {
        let found = gguf.metadata.str("general.architecture")?;
        if found != ARCHITECTURE {
            return Err(ModelError::NoDrafter { found: found.into() });
        }
        let (keys, of) = (Keys { gguf, of: ARCHITECTURE }, &target.config);
        let dim = keys.size("embedding_length", 1 << 16)?;
        if !dim.is_multiple_of(32) {
            return Err(keys.bad("embedding_length", dim, "is not a multiple of 32"));
        }
        let out = keys.size("embedding_length_out", 1 << 16)?;
        if out != of.dim {
            return Err(other("embedding_length_out", out, of.dim));
        }
        check_vocabulary(gguf, dim, of.vocab)?;
        let window = keys.u32_or("attention.sliding_window", of.window)?;
        if window == 0 || window > of.window {
            return Err(other("attention.sliding_window", window, of.window));
        }
        let heads = keys.size("attention.head_count", 1024)?;
        let layers = layers(&keys, of, heads)?;
        let rope_bases = [keys.positive_or("rope.freq_base_swa", 1e4)?, keys.positive_or("rope.freq_base", 1e6)?].map(f64::from);
        let eps = keys.positive_or("attention.layer_norm_rms_epsilon", 1e-6)?;
        let target = (of.dim, of.eps, target.dtype("token_embd"));
        let specs = Specs::default();
        let mut drafter = Drafter { layers, dim, vocab: of.vocab, heads, eps, window, rope_bases, target, specs };
        drafter.specs = drafter.weights(gguf)?;
        Ok(drafter)
    }

    /// Lists what to load.
    fn weights(&self, gguf: &Gguf) -> Result<Specs, ModelError> {
        let mut file = File { gguf, specs: Specs::default() };
        let (dim, wide) = (self.dim, self.target.0);
        file.matrix("token_embd", dim, self.vocab)?;
        if gguf.tensors.contains("output.weight") {
            file.matrix("output", dim, self.vocab)?;
        }
        file.vector(&["output_norm".into()], dim)?;
        let before = file.tensor(&format!("{BEFORE}.weight"), &[u64::from(2 * wide), dim.into()])?;
        let halves = halves(before)?;
        file.weight(BEFORE, Stack::Concat, vec![Part::whole(BEFORE, halves)]);
        file.matrix(AFTER, dim, wide)?;
        rope_factors(&mut file, self.head_dim(Span::Global))?;
        for (i, layer) in self.layers.iter().enumerate() {
            around_attention(&mut file, dim, self.heads, layer.head_dim, i)?;
            file.matrix(&format!("blk.{i}.attn_q"), dim, self.heads * layer.head_dim)?;
            feed_forward(&mut file, dim, layer.ffn, i)?;
        }
        file.specs.unneeded = unneeded(gguf, &file.specs)?;
        Ok(file.specs)
    }

    fn head_dim(&self, span: Span) -> Option<u32> {
        self.layers.iter().find(|layer| layer.span == span).map(|layer| layer.head_dim)
    }

    /// The format of a weight of the algebra.
    fn dtype(&self, key: &str) -> DType {
        self.specs.part(key).and_then(|placed| placed.spec.dtype().ok()).unwrap_or(DType::F32)
    }
}

/// A row of the projection is one for the embedding, then one for the hidden state: as a matrix of twice as many rows, these alternate.
fn halves(mut tensor: TensorInfo) -> Result<TensorInfo, ModelError> {
    let (cols, rows) = (tensor.cols() / 2, 2 * tensor.rows());
    if !cols.is_multiple_of(tensor.dtype()?.block_len() as u64) {
        return Err(ModelError::RowLength { name: tensor.name, cols });
    }
    tensor.dims = vec![cols, rows];
    Ok(tensor)
}

fn layers(keys: &Keys, of: &Config, heads: u32) -> Result<Vec<Layer>, ModelError> {
    let count = keys.size("block_count", 64)? as usize;
    let heads_of = "nextn_predict_layers";
    match keys.u32_or(heads_of, count as u32)? {
        predict if predict as usize == count => {}
        predict => return Err(keys.bad(heads_of, predict, &format!("is not the number of layers, {count}"))),
    }
    let spans = keys.spans(count)?;
    let ffn = keys.per_layer("feed_forward_length", count, 1 << 20)?;
    let kv_heads = keys.per_layer("attention.head_count_kv", count, 1024)?;
    let global = keys.size("attention.key_length", 512)?;
    let sliding = keys.u32_or("attention.key_length_swa", global)?;
    let mut layers = Vec::with_capacity(count);
    for i in 0..count {
        let own = of.layers.iter().enumerate().rev().find(|(donor, layer)| layer.donor == *donor && layer.span == spans[i]);
        let Some((donor, theirs)) = own else {
            return Err(other("attention.sliding_window_pattern", format!("{:?} in layer {i}", spans[i]), "no such layer"));
        };
        let (key, found) = if spans[i] == Span::Sliding { ("key_length_swa", sliding) } else { ("key_length", global) };
        if found != theirs.head_dim {
            return Err(other(&format!("attention.{key}"), found, theirs.head_dim));
        }
        if kv_heads[i] != theirs.kv_heads {
            return Err(other("attention.head_count_kv", kv_heads[i], theirs.kv_heads));
        }
        if !heads.is_multiple_of(theirs.kv_heads) {
            return Err(keys.bad("attention.head_count", heads, &format!("is no multiple of {} heads of keys", theirs.kv_heads)));
        }
        if !ffn[i].is_multiple_of(32) {
            return Err(keys.bad("feed_forward_length", ffn[i], "is not a multiple of 32"));
        }
        layers.push(Layer { span: spans[i], kv_heads: theirs.kv_heads, head_dim: found, ffn: ffn[i], of: donor });
    }
    Ok(layers)
}

/// Names of tensors that drafting can do without: those by which a head looks at some of its rows only.
///
/// # Errors
/// [`ModelError::Unused`] of any other that no weight was made of.
fn unneeded(gguf: &Gguf, specs: &Specs) -> Result<Vec<String>, ModelError> {
    let parts = specs.weights.iter().flat_map(|spec| spec.parts.iter().map(|part| &part.tensor));
    let used: HashSet<&str> = parts.chain(specs.tables.iter().map(|table| &table.tensor)).map(|tensor| tensor.name.as_str()).collect();
    let rest = gguf.tensors.iter().map(|tensor| tensor.name.as_str()).filter(|name| !used.contains(name) && *name != "rope_freqs.weight");
    let (known, others): (Vec<&str>, Vec<&str>) = rest.partition(|name| name.starts_with("masked_emb"));
    match others.first() {
        None => Ok(known.into_iter().map(String::from).collect()),
        Some(first) => Err(ModelError::Unused {
            name: (*first).into(),
            more: others.len() - 1,
            what: "has no place in a drafter of Gemma 4",
            remedy: "Convert the drafter anew",
        }),
    }
}

impl crate::drafter::Drafter for Drafter {
    fn specs(&self) -> &Specs {
        &self.specs
    }

    fn shared(&self) -> &[(&'static str, &'static str)] {
        &[("token_embd", TARGET_EMBEDDING), ("output_norm", TARGET_NORM)]
    }

    fn tables(&self, file: &[Table], context: u32) -> Result<Vec<Table>, ModelError> {
        let head_dim = |span| self.head_dim(span).unwrap_or(0);
        let [sliding, global] = self.rope_bases;
        // Queries stand where the drafted token's predecessor does, one behind the last key.
        rope::tables_of([(head_dim(Span::Sliding), sliding), (head_dim(Span::Global), global)], file, context, 1)
    }

    fn forward(&self, drafts: u32, kv: KvType, context: u32, tables: &[Table]) -> Graph {
        graph::forward(self, drafts, (kv, context), tables)
    }
}
