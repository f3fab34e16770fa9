//! Names of tensors in PEFT's files: `base_model.model.PATH.lora_A.weight`.

use crate::halves::Half;
use crate::{Module, Target};

/// What stands before the path of a module.
pub(super) const ROOT: &str = "base_model.model.";

/// Where the language model is in the models of transformers, longest first; last the one of text alone.
pub(super) const LANGUAGE: [&str; 4] = ["model.language_model.", "language_model.model.", "language_model.", "model."];

/// Parts of paths that lead out of the language model.
const TOWERS: [&str; 8] = [
    "vision_tower",
    "audio_tower",
    "embed_vision",
    "embed_audio",
    "vision_model",
    "audio_model",
    "vision_embedder",
    "multi_modal_projector",
];

/// What a tensor is.
#[derive(Debug, PartialEq)]
pub(super) enum Name<'a> {
    /// A matrix of a pair; `path` is the module's in the base model.
    Half { path: &'a str, target: Target, half: Half },
    /// Of a vision or audio tower, or a copy of a base weight.
    LeftOut,
}

/// Why a tensor cannot be taken, and what to do.
pub(super) type Refusal = (String, &'static str);

const WITHOUT: &str = "Train the adapter without it, or merge it with PEFT and convert the merged model.";

/// Reads a tensor's name.
///
/// # Errors
/// What it is, where that is neither a pair's half nor of no matter.
pub(super) fn parse(tensor: &str) -> Result<Name<'_>, Refusal> {
    let path = tensor.strip_prefix(ROOT).unwrap_or(tensor);
    if path.ends_with(".base_layer.weight") || path.split('.').any(|part| TOWERS.contains(&part)) {
        return Ok(Name::LeftOut);
    }
    let Some((path, tail)) = path.rsplit_once(".lora_") else {
        return Err(("it is a weight itself and no part of a pair (modules_to_save, a resized embedding, trained tokens)".into(), WITHOUT));
    };
    let (half, of_embedding) = half(tail)?;
    let target = target(path)?;
    if of_embedding != (target.module == Module::Embedding) {
        let what = if of_embedding { "a linear layer" } else { "the embedding" };
        return Err((format!("{target} is {what}, which has matrices of another name"), "Save the adapter again with PEFT."));
    }
    Ok(Name::Half { path, target, half })
}

/// Reads what follows `.lora_`: the matrix, the adapter's name where there are several, `weight`.
fn half(tail: &str) -> Result<(Half, bool), Refusal> {
    let (what, rest) = tail.split_once('.').map_or((tail, None), |(what, rest)| (what, Some(rest)));
    let one = |name: &str| !name.is_empty() && !name.contains('.');
    let weight = |rest: &str| rest == "weight" || rest.strip_suffix(".weight").is_some_and(one);
    match (what, rest) {
        ("magnitude_vector", _) => Err(("it is a magnitude vector (DoRA)".into(), WITHOUT)),
        (_, Some(rest)) if rest == "bias" || rest.ends_with(".bias") => Err(("it is a bias".into(), WITHOUT)),
        ("A", Some(rest)) if weight(rest) => Ok((Half::A, false)),
        ("B", Some(rest)) if weight(rest) => Ok((Half::B, false)),
        ("embedding_A", None) => Ok((Half::A, true)),
        ("embedding_B", None) => Ok((Half::B, true)),
        ("embedding_A", Some(rest)) if one(rest) => Ok((Half::A, true)),
        ("embedding_B", Some(rest)) if one(rest) => Ok((Half::B, true)),
        _ => Err(("it is neither matrix of a pair".into(), WITHOUT)),
    }
}

fn target(path: &str) -> Result<Target, Refusal> {
    let inner = LANGUAGE.iter().find_map(|prefix| path.strip_prefix(prefix)).unwrap_or(path);
    if let Some(target) = Target::from_hf(inner) {
        return Ok(target);
    }
    let part = |name: &str| inner.split('.').any(|part| part == name);
    Err(match () {
        () if part("experts") || part("router") || part("moe") => {
            (format!("{inner} belongs to a mixture of experts, which is not supported"), "Train the adapter on other modules.")
        }
        () if part("embed_tokens_per_layer") => {
            (format!("{inner} is the per-layer table, which takes no adapter here"), "Train the adapter on other modules.")
        }
        () => (
            format!("{inner} is no linear layer of Gemma 4's language model"),
            "Take an adapter that was trained on Gemma 4, with modules such as q_proj or down_proj.",
        ),
    })
}

/// The ways that a path may be spelled in `target_modules`, beside its own.
pub(super) fn spellings(target: Target) -> [String; 2] {
    let name = target.hf_name();
    if target.module == Module::Head {
        return [name.clone(), name];
    }
    [format!("model.language_model.{name}"), format!("model.{name}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let q = Target::layer(3, Module::Q);
        let half = |path, target, half| Ok(Name::Half { path, target, half });
        let in_all = "model.language_model.layers.3.self_attn.q_proj";
        let in_text = "model.layers.3.self_attn.q_proj";
        assert_eq!(parse(&format!("base_model.model.{in_all}.lora_A.weight")), half(in_all, q, Half::A));
        assert_eq!(parse(&format!("base_model.model.{in_text}.lora_B.default.weight")), half(in_text, q, Half::B));
        assert_eq!(parse("base_model.model.lm_head.lora_A.weight"), half("lm_head", Target::model(Module::Head), Half::A));
        for name in ["embed_tokens.lora_embedding_B", "embed_tokens.lora_embedding_B.default"] {
            assert_eq!(parse(name), half("embed_tokens", Target::model(Module::Embedding), Half::B));
        }
        for name in [
            "base_model.model.model.language_model.embed_tokens.base_layer.weight",
            "base_model.model.lm_head.base_layer.weight",
            "base_model.model.model.vision_tower.encoder.layers.0.self_attn.q_proj.linear.lora_A.weight",
            "base_model.model.model.audio_tower.layers.0.feed_forward.lora_B.weight",
        ] {
            assert_eq!(parse(name), Ok(Name::LeftOut), "{name}");
        }
        for (name, what) in [
            ("base_model.model.model.layers.0.mlp.up_proj.lora_magnitude_vector", "DoRA"),
            ("base_model.model.model.layers.0.mlp.up_proj.lora_magnitude_vector.default.weight", "DoRA"),
            ("base_model.model.model.layers.0.mlp.up_proj.lora_B.bias", "bias"),
            ("base_model.model.lm_head.weight", "modules_to_save"),
            ("base_model.model.model.layers.0.mlp.experts.gate_up_proj.lora_A.weight", "experts"),
            ("base_model.model.model.embed_tokens_per_layer.lora_embedding_A", "per-layer table"),
            ("base_model.model.model.layers.0.self_attn.qkv_proj.lora_A.weight", "no linear layer"),
            ("base_model.model.model.embed_tokens.lora_A.weight", "another name"),
            ("base_model.model.model.layers.0.mlp.up_proj.lora_C.weight", "neither"),
            ("base_model.model.model.layers.0.mlp.up_proj.lora_A.a.b.weight", "neither"),
            ("base_model.model.model.layers.00.mlp.up_proj.lora_A.weight", "no linear layer"),
        ] {
            let (problem, _) = parse(name).unwrap_err();
            assert!(problem.contains(what), "{name}: {problem}");
        }
    }
}
