//! Writing PEFT's form, with the names of `Gemma4ForConditionalGeneration`.

use super::name::{LANGUAGE, ROOT};
use super::{CONFIG, MODEL};
use crate::{Adapter, AdapterError, Blob, Module, Pair, Precision, Target, adapter};
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The two files of an adapter.
///
/// `target_modules` lists full paths: PEFT matches the ends of names, and `q_proj` alone would also put adapters on the
/// vision and audio towers. Where pairs differ in rank or alpha, the patterns say so.
///
/// # Errors
/// A pair that cannot be ([`Adapter::check`]), a value that `precision` cannot hold.
pub fn write(adapter: &Adapter, precision: Precision) -> Result<Vec<Blob>, AdapterError> {
    adapter.check()?;
    let config = serde_json::to_vec_pretty(&config(adapter)).map_err(|error| cannot(adapter, &error))?;
    let model = matrices(adapter, precision)?;
    Ok(vec![Blob { name: MODEL.to_owned(), bytes: model }, Blob { name: CONFIG.to_owned(), bytes: config }])
}

fn cannot(adapter: &Adapter, error: &dyn std::error::Error) -> AdapterError {
    AdapterError::Form { adapter: adapter.name.clone(), what: format!("cannot be written: {error}"), remedy: "Give it fewer layers." }
}

/// The path of a module in the base model.
fn path(target: Target) -> String {
    match target.module {
        Module::Head => target.hf_name(),
        _ => format!("{}{}", LANGUAGE[0], target.hf_name()),
    }
}

fn matrices(adapter: &Adapter, precision: Precision) -> Result<Vec<u8>, AdapterError> {
    let dtype = if precision == Precision::F16 { Dtype::F16 } else { Dtype::F32 };
    let mut tensors: Vec<(String, [usize; 2], Vec<u8>)> = Vec::with_capacity(2 * adapter.pairs.len());
    for (target, pair) in &adapter.pairs {
        let name = |half: &str| match target.is_table() {
            true => format!("{ROOT}{}.lora_embedding_{half}", path(*target)),
            false => format!("{ROOT}{}.lora_{half}.weight", path(*target)),
        };
        let bytes = |values: &[f32]| precision.encode(&adapter.name, *target, values.iter().copied());
        tensors.push((name("A"), [pair.rank as usize, pair.inputs as usize], bytes(&pair.a)?));
        tensors.push((name("B"), [pair.outputs as usize, pair.rank as usize], bytes(&pair.b)?));
    }
    let mut views = Vec::with_capacity(tensors.len());
    for (name, shape, bytes) in &tensors {
        views.push((name.as_str(), TensorView::new(dtype, shape.to_vec(), bytes).map_err(|error| cannot(adapter, &error))?));
    }
    let about = [("format".to_owned(), "pt".to_owned())].into_iter().collect();
    serialize(views, Some(about)).map_err(|error| cannot(adapter, &error))
}

/// Whether the scales of all pairs are those of rank-stabilised LoRA with their alphas.
fn stabilised(adapter: &Adapter) -> bool {
    let fits = |pair: &Pair| adapter::scale(pair.alpha, pair.rank, true) == pair.scale;
    adapter.info.rslora && adapter.pairs.values().all(fits)
}

/// The alpha that gives a pair its scale.
fn alpha(pair: &Pair, rslora: bool) -> f64 {
    if rslora || adapter::scale(pair.alpha, pair.rank, false) == pair.scale {
        return f64::from(pair.alpha);
    }
    // Exact in f64, so that dividing by the rank gives the scale back.
    f64::from(pair.scale) * f64::from(pair.rank)
}

/// A whole number without a point, as PEFT writes it.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { json!(value as i64) } else { json!(value) }
}

/// The shortest number that is read as the same f32: 0.1, not 0.10000000149.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_default()
}

/// The value that most have, of those that `f64` can hold as a key.
fn common(values: impl Iterator<Item = f64>) -> f64 {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    values.for_each(|value| *counts.entry(value.to_bits()).or_default() += 1);
    counts.into_iter().max_by_key(|(_, count)| *count).map_or(0.0, |(bits, _)| f64::from_bits(bits))
}

fn config(adapter: &Adapter) -> Value {
    let rslora = stabilised(adapter);
    let (rank, most) = (
        crate::gguf::common(adapter.pairs.values().map(|pair| pair.rank)).unwrap_or_default(),
        common(adapter.pairs.values().map(|pair| alpha(pair, rslora))),
    );
    let (mut ranks, mut alphas) = (Map::new(), Map::new());
    for (target, pair) in &adapter.pairs {
        if pair.rank != rank {
            ranks.insert(target.hf_name(), json!(pair.rank));
        }
        if alpha(pair, rslora) != most {
            alphas.insert(target.hf_name(), number(alpha(pair, rslora)));
        }
    }
    json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": adapter.info.base,
        "r": rank,
        "lora_alpha": number(most),
        "lora_dropout": shortest(adapter.info.dropout),
        "target_modules": adapter.pairs.keys().map(|target| path(*target)).collect::<Vec<_>>(),
        "rank_pattern": ranks,
        "alpha_pattern": alphas,
        "use_rslora": rslora,
        "use_dora": false,
        "bias": "none",
        "fan_in_fan_out": false,
        "init_lora_weights": true,
        "inference_mode": true,
        "modules_to_save": null,
    })
}
