//! Tensors of a file that no weight was made of: what a text model can do without, and what it cannot.

use super::config::Config;
use crate::ModelError;
use crate::weights::Specs;
use rullama_source::gguf::{Gguf, TensorInfo};
use std::collections::HashSet;

/// Checks that every tensor is used or known to be of no use here; gives the names of the latter, in file order.
///
/// # Errors
/// [`ModelError::Unused`]: to leave it out would give another model without a word.
pub(super) fn check(gguf: &Gguf, config: &Config, specs: &Specs) -> Result<Vec<String>, ModelError> {
    let parts = specs.weights.iter().flat_map(|spec| spec.parts.iter().map(|part| &part.tensor));
    let tables = specs.tables.iter().map(|table| &table.tensor);
    let used: HashSet<&str> = parts.chain(tables).map(|tensor| tensor.name.as_str()).collect();
    let rest = || gguf.tensors.iter().filter(|tensor| !used.contains(tensor.name.as_str()) && tensor.name != ROPE_FREQS);
    let (unneeded, others): (Vec<&TensorInfo>, Vec<&TensorInfo>) = rest().partition(|tensor| unneeded(&tensor.name, config));
    let Some(first) = others.first() else { return Ok(unneeded.into_iter().map(|tensor| tensor.name.clone()).collect()) };
    let (what, remedy) = meaning(&first.name);
    let more = others.iter().filter(|tensor| meaning(&tensor.name).0 == what).count() - 1;
    Err(ModelError::Unused { name: first.name.clone(), more, what, remedy })
}

/// Rotation factors, read beside the weights; a model whose layers all slide has no use for them.
const ROPE_FREQS: &str = "rope_freqs.weight";

/// Towers and their projections, scales of activations that stay floats, and the keys and values of layers that read another's.
fn unneeded(name: &str, config: &Config) -> bool {
    if ["v.", "a.", "mm."].iter().any(|tower| name.starts_with(tower)) || name.ends_with(".input_scale") {
        return true;
    }
    let Some((layer, rest)) = name.strip_prefix("blk.").and_then(|name| name.split_once('.')) else { return false };
    let shares = |layer: usize| config.layers.get(layer).is_some_and(|it| it.donor != layer);
    let of_keys = matches!(rest, "attn_k.weight" | "attn_v.weight" | "attn_k_norm.weight" | "attn_k.scale" | "attn_v.scale");
    of_keys && layer.parse().is_ok_and(shares)
}

/// What a tensor is by its name, and what to do about it.
fn meaning(name: &str) -> (&'static str, &'static str) {
    let has = |part: &str| name.contains(part);
    match () {
        () if has("lora_") || has(".lora") => {
            ("belongs to an adapter (LoRA)", "Merge the adapter into the model, or take the model without it")
        }
        () if has("_exps.") || has("_exp.") || has("ffn_gate_inp") => {
            ("belongs to a mixture of experts in a way that is not known here", "Convert the original model anew")
        }
        () if name.ends_with(".scale") => ("scales a product, as NVFP4 files have it", "Choose another quantisation of the model"),
        () if name.ends_with(".bias") => ("is a bias, which Gemma 4's layers do not have", "Convert the original model anew"),
        () if has("nextn") || has("mtp") => ("belongs to a head that predicts further tokens", "Choose the file of the model alone"),
        () => ("has no place in this model", "Convert the model anew, or choose a file that was made for Gemma 4"),
    }
}
