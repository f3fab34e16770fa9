//! Tensors by role and type.

use crate::table::{self, Table};
use crate::terminal::one_line;
use rullama_source::gguf::{Gguf, TensorInfo};
use std::collections::BTreeMap;

/// Roles in the order of the table.
const ROLES: [&str; 8] =
    ["token embedding", "per-layer embedding", "attention", "feed-forward", "norms, scales", "vision tower", "audio tower", "other"];

fn role(tensor: &TensorInfo) -> usize {
    let name = tensor.name.as_str();
    let part = |text: &str| name.contains(text);
    match () {
        () if name.starts_with("a.") || name.starts_with("mm.a.") => 6,
        () if name.starts_with("v.") || name.starts_with("mm.") => 5,
        () if name.starts_with("token_embd") || name == "output.weight" => 0,
        () if part("per_layer_token_embd") => 1,
        () if tensor.dims.len() < 2 => 4,
        () if part("attn_") => 2,
        () if part("ffn_") => 3,
        () => 7,
    }
}

/// A row for each role and type, and the sum.
pub fn table(gguf: &Gguf) -> String {
    let mut groups: BTreeMap<(usize, &str), (u64, u64, u64)> = BTreeMap::new();
    let mut total = (0, 0, 0);
    for tensor in &gguf.tensors {
        let group = groups.entry((role(tensor), tensor.ggml_type().name())).or_default();
        for sums in [group, &mut total] {
            *sums = (sums.0 + 1, sums.1 + tensor.elements(), sums.2 + tensor.bytes());
        }
    }
    let mut table = Table::new(&["role", "type", ">tensors", ">values", ">size", ">share"]);
    let mut row = |role: &str, kind: &str, (tensors, values, bytes): (u64, u64, u64)| {
        let share = 100.0 * bytes as f64 / (total.2 as f64).max(1.0);
        table.row([
            role.to_owned(),
            kind.to_owned(),
            tensors.to_string(),
            table::count(values),
            table::bytes(bytes),
            format!("{share:.1} %"),
        ]);
    };
    for ((role, kind), sums) in groups {
        row(ROLES[role], kind, sums);
    }
    row("total", "", total);
    table.render()
}

/// How many tensors of each kind are named: by tower, or by what they are in their layer.
pub fn kinds(names: &[String]) -> String {
    let mut groups: BTreeMap<String, u64> = BTreeMap::new();
    for name in names {
        let kind = match name.split_once('.') {
            Some(("blk", rest)) => format!("blk.*.{}", rest.split_once('.').map_or(rest, |(_, what)| what)),
            Some((tower @ ("v" | "a" | "mm"), _)) => format!("{tower}.*"),
            _ => name.clone(),
        };
        *groups.entry(kind).or_default() += 1;
    }
    let mut table = Table::new(&["not needed for text", ">tensors"]);
    groups.into_iter().for_each(|(kind, count)| table.row([one_line(&kind), count.to_string()]));
    table.render()
}

/// A row for each tensor, in file order.
pub fn all(gguf: &Gguf) -> String {
    let mut table = Table::new(&["name", "type", "dimensions", ">size"]);
    for tensor in &gguf.tensors {
        table.row([tensor.name.clone(), tensor.ggml_type().name().to_owned(), table::dims(&tensor.dims), table::bytes(tensor.bytes())]);
    }
    table.render()
}
