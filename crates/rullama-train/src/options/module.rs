//! Which linear layers get an adapter, as people name them.

use crate::OptionError;
use rullama_adapter::Module;
use std::ops::Range;

fn unknown(name: &str) -> OptionError {
    let names: Vec<&str> = Module::ALL.iter().map(|module| module.hf_name()).collect();
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
            _ => modules.push(name.parse().map_err(|_| unknown(name))?),
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
