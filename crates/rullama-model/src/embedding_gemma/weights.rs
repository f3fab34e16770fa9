//! Which tensors of the file make which weights.

use super::config::Config;
use crate::ModelError;
use crate::weights::{Part, Specs, Stack, TableSpec, WeightSpec};
use rullama_source::gguf::{Gguf, TensorInfo};
use std::collections::HashSet;

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

    fn part(&self, name: &str, cols: u32, rows: u32) -> Result<Part, ModelError> {
        Ok(Part::whole(name, self.tensor(&format!("{name}.weight"), &[cols.into(), rows.into()])?))
    }

    fn weight(&mut self, key: &str, stack: Stack, parts: Vec<Part>) {
        self.specs.weights.push(WeightSpec { key: key.into(), stack, parts, padded: false });
    }

    fn matrix(&mut self, name: &str, cols: u32, rows: u32) -> Result<(), ModelError> {
        let part = self.part(name, cols, rows)?;
        self.weight(name, Stack::Concat, vec![part]);
        Ok(())
    }

    /// Matrices of one input: those of one format become one weight, so that one dispatch computes them.
    fn stacked(&mut self, key: &str, stack: Stack, cols: u32, names: &[(String, u32)]) -> Result<(), ModelError> {
        let parts: Result<Vec<Part>, ModelError> = names.iter().map(|(name, rows)| self.part(name, cols, *rows)).collect();
        let parts = parts?;
        if parts.iter().all(|part| part.tensor.kind == parts[0].tensor.kind) {
            self.weight(key, stack, parts);
        } else {
            parts.into_iter().for_each(|part| self.weight(&part.key.clone(), Stack::Concat, vec![part]));
        }
        Ok(())
    }

    /// A norm's weight, by one of its spellings; the first is the key.
    fn vector(&mut self, names: &[&str], cols: u32) -> Result<(), ModelError> {
        let spelled: Vec<String> = names.iter().map(|name| format!("{name}.weight")).collect();
        let name = spelled.iter().find(|name| self.gguf.tensors.contains(name)).unwrap_or(&spelled[0]);
        let tensor = self.tensor(name, &[cols.into()])?;
        self.specs.tables.push(TableSpec { key: names[0].into(), tensor, host: false });
        Ok(())
    }
}

/// Checks every tensor's presence and shape and lists what to load.
///
/// # Errors
/// A missing tensor, a wrong shape, a type without arithmetic here, one that nothing here uses: each names the tensor.
pub fn specs(gguf: &Gguf, config: &Config) -> Result<Specs, ModelError> {
    let mut file = File { gguf, specs: Specs::default() };
    file.matrix("token_embd", config.dim, config.vocab)?;
    file.vector(&["output_norm"], config.dim)?;
    for i in 0..config.sliding.len() {
        layer(&mut file, config, &format!("blk.{i}"))?;
    }
    for head in &config.dense {
        file.matrix(head.name, head.inputs, head.outputs)?;
    }
    refuse_others(gguf, &file.specs)?;
    Ok(file.specs)
}

fn layer(file: &mut File, config: &Config, b: &str) -> Result<(), ModelError> {
    let (dim, hd) = (config.dim, config.head_dim);
    let name = |name: &str| format!("{b}.{name}");
    for norms in [
        ["attn_norm", "attn_norm"],
        ["post_attention_norm", "attn_post_norm"],
        ["ffn_norm", "ffn_pre_norm"],
        ["post_ffw_norm", "ffn_post_norm"],
    ] {
        let [key, other] = norms.map(name);
        file.vector(&[&key, &other], dim)?;
    }
    file.vector(&[&name("attn_q_norm")], hd)?;
    file.vector(&[&name("attn_k_norm")], hd)?;
    let kv = config.kv_heads * hd;
    let projections = [(name("attn_q"), config.heads * hd), (name("attn_k"), kv), (name("attn_v"), kv)];
    file.stacked(&name("attn_projection"), Stack::Concat, dim, &projections)?;
    file.matrix(&name("attn_output"), config.heads * hd, dim)?;
    file.stacked(&name("ffn_gate_up"), Stack::Interleave, dim, &[(name("ffn_gate"), config.ffn), (name("ffn_up"), config.ffn)])?;
    file.matrix(&name("ffn_down"), config.ffn, dim)
}

/// A tensor that nothing here reads would make another model.
fn refuse_others(gguf: &Gguf, specs: &Specs) -> Result<(), ModelError> {
    let parts = specs.weights.iter().flat_map(|spec| spec.parts.iter().map(|part| &part.tensor));
    let used: HashSet<&str> = parts.chain(specs.tables.iter().map(|table| &table.tensor)).map(|tensor| tensor.name.as_str()).collect();
    let others: Vec<&TensorInfo> = gguf.tensors.iter().filter(|tensor| !used.contains(tensor.name.as_str())).collect();
    let Some(first) = others.first() else { return Ok(()) };
    Err(ModelError::Unused {
        name: first.name.clone(),
        more: others.len() - 1,
        what: "has no place in EmbeddingGemma",
        remedy: "Convert the model anew, or choose a file that was made for EmbeddingGemma",
    })
}
