//! Which tensors of the file make which weights.

use super::config::{Config, Span};
use super::{experts, unused};
use crate::ModelError;
use crate::weights::{Part, Specs, Stack, Table, TableSpec, WeightSpec};
use rullama_source::gguf::{Gguf, TensorInfo};

/// Key of the factors of global layers' rotation frequencies.
pub const ROPE_FACTORS: &str = "rope_freqs";

/// Key of a layer's output scale.
pub fn output_scale(layer: usize) -> String {
    format!("blk.{layer}.layer_output_scale")
}

/// A layer's output scale, 1 where the file has none.
pub(super) fn scale_of(tables: &[Table], layer: usize) -> f32 {
    let key = output_scale(layer);
    tables.iter().find(|table| table.key == key).and_then(|table| table.values.first()).copied().unwrap_or(1.0)
}

/// The file, checked against the configuration.
pub(super) struct File<'a> {
    pub gguf: &'a Gguf,
    pub specs: Specs,
}

impl File<'_> {
    pub fn tensor(&self, name: &str, dims: &[u64]) -> Result<TensorInfo, ModelError> {
        let info = self.gguf.tensors.get(name).ok_or_else(|| ModelError::MissingTensor { name: name.into() })?;
        if info.dims != dims {
            return Err(ModelError::Shape { name: name.into(), expected: dims.to_vec(), found: info.dims.clone() });
        }
        info.dtype()?;
        Ok(info.clone())
    }

    pub fn first(&self, names: &[String], dims: &[u64]) -> Result<TensorInfo, ModelError> {
        let name = names.iter().find(|n| self.gguf.tensors.contains(n)).unwrap_or(&names[0]);
        self.tensor(name, dims)
    }

    pub fn weight(&mut self, key: &str, stack: Stack, parts: Vec<Part>) {
        self.specs.weights.push(WeightSpec { key: key.into(), stack, parts, padded: false });
    }

    pub fn matrix(&mut self, name: &str, cols: u32, rows: u32) -> Result<(), ModelError> {
        let info = self.tensor(&format!("{name}.weight"), &[cols.into(), rows.into()])?;
        self.weight(name, Stack::Concat, vec![Part::whole(name, info)]);
        Ok(())
    }

    /// A norm's weight; `names` are its spellings, the first is the key.
    pub fn vector(&mut self, names: &[String], cols: u32) -> Result<(), ModelError> {
        let spelled: Vec<String> = names.iter().map(|n| format!("{n}.weight")).collect();
        let info = self.first(&spelled, &[cols.into()])?;
        self.specs.tables.push(TableSpec { key: names[0].clone(), tensor: info, host: false });
        Ok(())
    }
}

/// Checks every tensor's presence and shape and lists what to load.
///
/// # Errors
/// A missing tensor, a wrong shape, a type without arithmetic here, one that nothing here uses: each names the tensor.
pub fn specs(gguf: &Gguf, config: &Config) -> Result<Specs, ModelError> {
    let mut file = File { gguf, specs: Specs::default() };
    let (dim, vocab) = (config.dim, config.vocab);
    file.matrix("token_embd", dim, vocab)?;
    if gguf.tensors.contains("output.weight") {
        file.matrix("output", dim, vocab)?;
    }
    file.vector(&["output_norm".into()], dim)?;
    if config.per_layer > 0 {
        per_layer(&mut file, config)?;
    }
    let global = config.layers.iter().find(|layer| layer.span == Span::Global);
    rope_factors(&mut file, global.map(|layer| layer.head_dim))?;
    for i in 0..config.layers.len() {
        attention(&mut file, config, i)?;
        feed_forward(&mut file, config.dim, config.layers[i].ffn, i)?;
        if let (true, Some(of)) = (config.layers[i].experts, config.experts) {
            experts::specs(&mut file, config.dim, of, i)?;
        }
    }
    file.specs.unneeded = unused::check(gguf, config, &file.specs)?;
    Ok(file.specs)
}

/// Factors of the frequencies of global heads, where there are both.
pub(super) fn rope_factors(file: &mut File, head_dim: Option<u32>) -> Result<(), ModelError> {
    if let (true, Some(head_dim)) = (file.gguf.tensors.contains("rope_freqs.weight"), head_dim) {
        let tensor = file.tensor("rope_freqs.weight", &[u64::from(head_dim / 2)])?;
        file.specs.tables.push(TableSpec { key: ROPE_FACTORS.into(), tensor, host: true });
    }
    Ok(())
}

fn per_layer(file: &mut File, config: &Config) -> Result<(), ModelError> {
    let layers = config.layers.len() as u32;
    let width = config.per_layer;
    let own = u64::from(config.own_layers() as u32 * width);
    let total = u64::from(layers * width);
    file.matrix("per_layer_token_embd", layers * width, config.vocab)?;
    file.vector(&["per_layer_proj_norm".into()], width)?;
    // Rows of the layers that run for every prompt token, apart from those that need not.
    let info = file.tensor("per_layer_model_proj.weight", &[config.dim.into(), total])?;
    let mut part = |key: &str, rows| file.weight(key, Stack::Concat, vec![Part { key: key.into(), tensor: info.clone(), rows }]);
    part("per_layer_model_proj.own", 0..own);
    if own < total {
        part("per_layer_model_proj.shared", own..total);
    }
    for i in 0..layers {
        file.matrix(&format!("blk.{i}.inp_gate"), config.dim, width)?;
        file.matrix(&format!("blk.{i}.proj"), width, config.dim)?;
        file.vector(&[format!("blk.{i}.post_norm")], config.dim)?;
    }
    Ok(())
}

/// Query, key and value projections: tensors of one format become one weight, so that one
/// dispatch computes them.
fn attention(file: &mut File, config: &Config, i: usize) -> Result<(), ModelError> {
    let layer = &config.layers[i];
    let (dim, hd) = (config.dim, layer.head_dim);
    let b = format!("blk.{i}");
    around_attention(file, dim, config.heads, hd, i)?;
    let (q_rows, kv_rows) = (u64::from(config.heads * hd), u64::from(layer.kv_heads * hd));
    let own = layer.donor == i;
    let mut sizes = vec![("attn_q", q_rows)];
    if own {
        file.vector(&[format!("{b}.attn_k_norm")], hd)?;
        sizes.push(("attn_k", kv_rows));
        if !layer.values_are_keys {
            sizes.push(("attn_v", kv_rows));
        }
    }
    for group in projections(file, config, i, &sizes)? {
        file.weight(&group.0, Stack::Concat, group.1);
    }
    Ok(())
}

/// What stands around a layer's attention: norms, and the projection of its heads.
pub(super) fn around_attention(file: &mut File, dim: u32, heads: u32, head_dim: u32, i: usize) -> Result<(), ModelError> {
    let b = format!("blk.{i}");
    file.vector(&[format!("{b}.attn_norm")], dim)?;
    file.vector(&[format!("{b}.attn_q_norm")], head_dim)?;
    file.vector(&[format!("{b}.post_attention_norm"), format!("{b}.attn_post_norm")], dim)?;
    file.matrix(&format!("{b}.attn_output"), heads * head_dim, dim)
}

type Group = (String, Vec<Part>);

fn projections(file: &File, config: &Config, i: usize, sizes: &[(&str, u64)]) -> Result<Vec<Group>, ModelError> {
    let dim = u64::from(config.dim);
    let fused = format!("blk.{i}.attn_qkv.weight");
    if file.gguf.tensors.contains(&fused) {
        let layer = &config.layers[i];
        let kv = u64::from(layer.kv_heads * layer.head_dim);
        let needed: u64 = sizes.iter().map(|s| s.1).sum();
        // A layer that reads another's cache may come with keys and values all the same.
        let whole = u64::from(config.heads * layer.head_dim) + 2 * kv;
        let stored = file.gguf.tensors.get(&fused).map(TensorInfo::rows);
        let rows = if layer.donor != i && stored == Some(whole) { whole } else { needed };
        let info = file.tensor(&fused, &[dim, rows])?;
        let mut parts = Vec::new();
        for (name, rows) in sizes {
            let first = parts.last().map_or(0, |part: &Part| part.rows.end);
            parts.push(Part { key: format!("blk.{i}.{name}"), tensor: info.clone(), rows: first..first + rows });
        }
        return Ok(vec![(projection_key(i, 0), parts)]);
    }
    let mut groups: Vec<Group> = Vec::new();
    for (name, rows) in sizes {
        let part = Part::whole(&format!("blk.{i}.{name}"), file.tensor(&format!("blk.{i}.{name}.weight"), &[dim, *rows])?);
        let same = |group: &Group| group.1.last().is_some_and(|p| p.tensor.kind == part.tensor.kind);
        match groups.last_mut() {
            Some(group) if same(group) => group.1.push(part),
            _ => groups.push((projection_key(i, groups.len()), vec![part])),
        }
    }
    Ok(groups)
}

/// Key of the n-th weight that holds a layer's query, key and value projections.
fn projection_key(layer: usize, n: usize) -> String {
    format!("blk.{layer}.attn_projection.{n}")
}

/// The gated feed-forward block of a layer, its norms, and the layer's scale.
pub(super) fn feed_forward(file: &mut File, dim: u32, ffn: u32, i: usize) -> Result<(), ModelError> {
    let b = format!("blk.{i}");
    file.vector(&[format!("{b}.ffn_norm"), format!("{b}.ffn_pre_norm")], dim)?;
    file.vector(&[format!("{b}.post_ffw_norm"), format!("{b}.ffn_post_norm")], dim)?;
    file.matrix(&format!("{b}.ffn_down"), ffn, dim)?;
    let gate = file.tensor(&format!("{b}.ffn_gate.weight"), &[dim.into(), ffn.into()])?;
    let up = file.tensor(&format!("{b}.ffn_up.weight"), &[dim.into(), ffn.into()])?;
    let keys = [format!("{b}.ffn_gate"), format!("{b}.ffn_up")];
    let [gate, up] = [Part::whole(&keys[0], gate), Part::whole(&keys[1], up)];
    if gate.tensor.kind == up.tensor.kind {
        file.weight(&format!("{b}.ffn_gate_up"), Stack::Interleave, vec![gate, up]);
    } else {
        file.weight(&keys[0], Stack::Concat, vec![gate]);
        file.weight(&keys[1], Stack::Concat, vec![up]);
    }
    let scale = [format!("{b}.layer_output_scale.weight"), format!("{b}.layer_scalar")];
    if let Some(name) = scale.iter().find(|n| file.gguf.tensors.contains(n)) {
        let tensor = file.tensor(name, &[1])?;
        file.specs.tables.push(TableSpec { key: output_scale(i), tensor, host: true });
    }
    Ok(())
}
