//! Which linear layers get an adapter, as people and other programs name them.

use crate::OptionError;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::str::FromStr;

/// A kind of linear layer that can carry an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Module {
    Q,
    K,
    V,
    O,
    Gate,
    Up,
    Down,
    /// Of a layer's block with per-layer embeddings: down to their width.
    PerLayerGate,
    /// The same block: back up.
    PerLayerProjection,
    /// From the token's embedding to all layers' per-layer inputs.
    PerLayerModelProjection,
    Embedding,
    Head,
}

/// Module, its name in transformers, and its other names.
const NAMES: [(Module, &str, &[&str]); 12] = [
    (Module::Q, "q_proj", &["q", "attn_q", "wq"]),
    (Module::K, "k_proj", &["k", "attn_k", "wk"]),
    (Module::V, "v_proj", &["v", "attn_v", "wv"]),
    (Module::O, "o_proj", &["o", "attn_output", "attn_o", "wo"]),
    (Module::Gate, "gate_proj", &["gate", "ffn_gate"]),
    (Module::Up, "up_proj", &["up", "ffn_up"]),
    (Module::Down, "down_proj", &["down", "ffn_down"]),
    (Module::PerLayerGate, "per_layer_input_gate", &["inp_gate"]),
    (Module::PerLayerProjection, "per_layer_projection", &["proj"]),
    (Module::PerLayerModelProjection, "per_layer_model_projection", &["per_layer_model_proj"]),
    (Module::Embedding, "embed_tokens", &["embedding", "token_embd"]),
    (Module::Head, "lm_head", &["head", "output"]),
];

impl Module {
    pub const ALL: [Module; 12] = {
        let mut all = [Module::Q; 12];
        let mut i = 0;
        while i < NAMES.len() {
            all[i] = NAMES[i].0;
            i += 1;
        }
        all
    };

    /// Attention's four and the feed-forward's three.
    pub const PROJECTIONS: [Module; 7] = [Module::Q, Module::K, Module::V, Module::O, Module::Gate, Module::Up, Module::Down];

    /// The name in transformers and PEFT.
    pub fn name(self) -> &'static str {
        NAMES[self as usize].1
    }

    /// Whether each layer has one of its own.
    pub fn in_layers(self) -> bool {
        !matches!(self, Module::PerLayerModelProjection | Module::Embedding | Module::Head)
    }
}

impl From<Module> for &'static str {
    fn from(module: Module) -> Self {
        module.name()
    }
}

impl TryFrom<String> for Module {
    type Error = OptionError;

    fn try_from(name: String) -> Result<Self, OptionError> {
        name.parse()
    }
}

impl FromStr for Module {
    type Err = OptionError;

    /// A name of transformers (`q_proj`), of GGUF (`attn_q`) or a short one (`q`).
    fn from_str(name: &str) -> Result<Self, OptionError> {
        let folded = name.trim().to_lowercase();
        let own = |(_, first, others): &&(Module, &str, &[&str])| *first == folded || others.contains(&folded.as_str());
        NAMES.iter().find(own).map(|entry| entry.0).ok_or_else(|| unknown(name))
    }
}

fn unknown(name: &str) -> OptionError {
    let names: Vec<&str> = NAMES.iter().map(|entry| entry.1).collect();
    OptionError::new("targets", name, format!("known are {}, attention, mlp, projections and all-linear", names.join(", ")))
}

/// Modules by a list of names with commas or spaces between them; sorted, each once. Groups are `attention`
/// (q, k, v, o), `mlp` (gate, up, down), `projections` (these seven) and, as PEFT has it, `all-linear`: every linear
/// layer but the head, so the per-layer ones, too.
///
/// # Errors
/// The first unknown name, and a list of none.
pub fn parse_modules(names: &str) -> Result<Vec<Module>, OptionError> {
    let mut modules = Vec::new();
    for name in names.split([',', ' ']).map(str::trim).filter(|name| !name.is_empty()) {
        match name.to_lowercase().replace('_', "-").as_str() {
            "all-linear" => modules.extend(Module::ALL.iter().filter(|m| !matches!(m, Module::Embedding | Module::Head))),
            "projections" => modules.extend(Module::PROJECTIONS),
            "attention" | "attn" => modules.extend([Module::Q, Module::K, Module::V, Module::O]),
            "mlp" | "ffn" => modules.extend([Module::Gate, Module::Up, Module::Down]),
            _ => modules.push(name.parse()?),
        }
    }
    modules.sort_unstable();
    modules.dedup();
    if modules.is_empty() {
        return Err(OptionError::new("targets", "empty", "name at least one, such as q_proj, or all-linear"));
    }
    Ok(modules)
}

/// Layers as people write them: `20-34` (both included), `20-` (to the last, which `count` tells), `7`, `20..35`.
///
/// # Errors
/// Anything else, an empty range, and layers that are not there.
pub fn parse_layers(text: &str, count: u32) -> Result<Range<u32>, OptionError> {
    let refuse = || {
        let last = count.saturating_sub(1);
        OptionError::new("layers", text, format!("write first-last, such as 0-{last}; this model's layers are 0 to {last}"))
    };
    let number = |part: &str| part.trim().parse::<u32>().map_err(|_| refuse());
    let range = match (text.split_once(".."), text.split_once('-')) {
        (Some((first, end)), _) => number(first)?..number(end)?,
        (None, Some((first, ""))) => number(first)?..count,
        (None, Some((first, last))) => number(first)?..number(last)?.saturating_add(1),
        (None, None) => number(text)?..number(text)?.saturating_add(1),
    };
    if range.is_empty() || range.end > count { Err(refuse()) } else { Ok(range) }
}
