//! Which tensors of the file make which weights.

use super::config::{Config, Span};
use super::unused;
use crate::ModelError;
use crate::weights::{Part, Stack, TableSpec, WeightSpec};
use rullama_source::gguf::{Gguf, TensorInfo};

/// Everything to load, and what the graph asks for by key.
#[derive(Debug, Clone, Default)]
pub struct Specs {
    pub weights: Vec<WeightSpec>,
    pub tables: Vec<TableSpec>,
    /// Each layer's `layer_output_scale`, 1 where the file has none.
    pub output_scales: Vec<Option<TensorInfo>>,
    /// The output head, when it is not the token embedding.
    pub head: Option<String>,
    /// Tensors of the file that a text model does not need: its towers, and keys and values that another layer's stand in for.
    pub unneeded: Vec<String>,
}

/// The file, checked against the configuration.
struct File<'a> {
    gguf: &'a Gguf,
    specs: Specs,
}

impl File<'_> {
    fn tensor(&self, name: &str, dims: &[u64]) -> Result<TensorInfo, ModelError> {
        let info = self.gguf.tensors.get(name).ok_or_else(|| ModelError::MissingTensor { name: name.into() })?;
        if info.dims != dims {
            return Err(ModelError::Shape { name: name.into(), expected: dims.to_vec(), found: info.dims.clone() });
        }
        info.dtype()?;
        Ok(info.clone())
    }

    fn first(&self, names: &[String], dims: &[u64]) -> Result<TensorInfo, ModelError> {
        let name = names.iter().find(|n| self.gguf.tensors.contains(n)).unwrap_or(&names[0]);
        self.tensor(name, dims)
    }

    fn weight(&mut self, key: &str, stack: Stack, parts: Vec<Part>) {
        self.specs.weights.push(WeightSpec { key: key.into(), stack, parts });
    }

    fn matrix(&mut self, name: &str, cols: u32, rows: u32) -> Result<(), ModelError> {
        let info = self.tensor(&format!("{name}.weight"), &[cols.into(), rows.into()])?;
        self.weight(name, Stack::Concat, vec![Part::whole(info)]);
        Ok(())
    }

    /// A norm's weight; `names` are its spellings, the first is the key.
    fn vector(&mut self, names: &[String], cols: u32) -> Result<(), ModelError> {
        let spelled: Vec<String> = names.iter().map(|n| format!("{n}.weight")).collect();
        let info = self.first(&spelled, &[cols.into()])?;
        self.specs.tables.push(TableSpec { key: names[0].clone(), tensor: info });
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
        file.specs.head = Some("output".into());
    }
    file.vector(&["output_norm".into()], dim)?;
    if config.per_layer > 0 {
        per_layer(&mut file, config)?;
    }
    for i in 0..config.layers.len() {
        attention(&mut file, config, i)?;
        feed_forward(&mut file, config, i)?;
    }
    file.specs.unneeded = unused::check(gguf, config, &file.specs)?;
    Ok(file.specs)
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
    file.weight("per_layer_model_proj.own", Stack::Concat, vec![Part { tensor: info.clone(), rows: 0..own }]);
    if own < total {
        file.weight("per_layer_model_proj.shared", Stack::Concat, vec![Part { tensor: info, rows: own..total }]);
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
    file.vector(&[format!("{b}.attn_norm")], dim)?;
    file.vector(&[format!("{b}.attn_q_norm")], hd)?;
    file.vector(&[format!("{b}.post_attention_norm"), format!("{b}.attn_post_norm")], dim)?;
    file.matrix(&format!("{b}.attn_output"), config.heads * hd, dim)?;
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
        return Ok(vec![(projection_key(i, 0), vec![Part { tensor: info, rows: 0..needed }])]);
    }
    let mut groups: Vec<Group> = Vec::new();
    for (name, rows) in sizes {
        let part = Part::whole(file.tensor(&format!("blk.{i}.{name}.weight"), &[dim, *rows])?);
        let same = |group: &Group| group.1.last().is_some_and(|p| p.tensor.kind == part.tensor.kind);
        match groups.last_mut() {
            Some(group) if same(group) => group.1.push(part),
            _ => groups.push((projection_key(i, groups.len()), vec![part])),
        }
    }
    Ok(groups)
}

/// Key of the n-th weight that holds a layer's query, key and value projections.
pub(super) fn projection_key(layer: usize, n: usize) -> String {
    format!("blk.{layer}.attn_projection.{n}")
}

fn feed_forward(file: &mut File, config: &Config, i: usize) -> Result<(), ModelError> {
    let (dim, ffn) = (config.dim, config.layers[i].ffn);
    let b = format!("blk.{i}");
    file.vector(&[format!("{b}.ffn_norm"), format!("{b}.ffn_pre_norm")], dim)?;
    file.vector(&[format!("{b}.post_ffw_norm"), format!("{b}.ffn_post_norm")], dim)?;
    file.matrix(&format!("{b}.ffn_down"), ffn, dim)?;
    let gate = file.tensor(&format!("{b}.ffn_gate.weight"), &[dim.into(), ffn.into()])?;
    let up = file.tensor(&format!("{b}.ffn_up.weight"), &[dim.into(), ffn.into()])?;
    if gate.kind == up.kind {
        file.weight(&format!("{b}.ffn_gate_up"), Stack::Interleave, vec![Part::whole(gate), Part::whole(up)]);
    } else {
        file.weight(&format!("{b}.ffn_gate"), Stack::Concat, vec![Part::whole(gate)]);
        file.weight(&format!("{b}.ffn_up"), Stack::Concat, vec![Part::whole(up)]);
    }
    let scale = [format!("{b}.layer_output_scale.weight"), format!("{b}.layer_scalar")];
    let scale = scale.iter().find(|n| file.gguf.tensors.contains(n));
    file.specs.output_scales.push(scale.map(|name| file.tensor(name, &[1])).transpose()?);
    Ok(())
}

/// Rotation frequency of each pair of a span's heads: `base^(-2i/n) / factor_i`, in f64.
/// Global layers take `rope_freqs` as factors; without it, the first quarter rotates.
pub fn rope_frequencies(config: &Config, span: Span, factors: Option<&[f32]>) -> Vec<f64> {
    let head_dim = config.layers.iter().find(|l| l.span == span).map_or(0, |l| l.head_dim as usize);
    let base = if span == Span::Sliding { config.rope_base_sliding } else { config.rope_base };
    let pairs = head_dim / 2;
    (0..pairs)
        .map(|i| {
            let plain = base.powf(-2.0 * i as f64 / head_dim as f64);
            match (span, factors) {
                (Span::Sliding, _) => plain,
                // A factor of 1e30 stands for "not rotated".
                (Span::Global, Some(factors)) if f64::from(factors[i]) > 1e20 => 0.0,
                (Span::Global, Some(factors)) => plain / f64::from(factors[i]),
                (Span::Global, None) if i < pairs / 4 => plain,
                (Span::Global, None) => 0.0,
            }
        })
        .collect()
}
