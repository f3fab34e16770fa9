//! What of a model came from its file while it ran: experts and rows of the per-layer table.

use super::{Arguments, Measured};
use crate::table;
use rullama::{Engine, ExpertStats, RowStats};
use serde_json::{Value, json};

/// Adds what there is: of a run, prompts with their first token, and all that an answer takes.
pub(super) fn add(record: &mut Value, arguments: &Arguments, engine: &Engine, measured: &Measured) {
    if let Some([prefill, decode]) = &measured.experts {
        record["expert_places"] = engine.info().expert_places.into();
        record["prefill_experts"] = experts(prefill, arguments.runs);
        record["decode_experts"] = experts(decode, arguments.runs);
    }
    if let Some([prefill, decode]) = &measured.rows {
        record["fresh"] = arguments.fresh.into();
        record["prefill_rows"] = rows(prefill, arguments.runs);
        record["decode_rows"] = rows(decode, arguments.runs);
    }
}

/// Averages of a run.
fn experts(took: &ExpertStats, runs: u32) -> Value {
    let mut taken = streamed(took.hit_rate(), [took.wanted, took.bytes_read], runs);
    taken["round_trips"] = each(took.round_trips, runs).into();
    taken["passes"] = each(took.passes, runs).into();
    taken
}

/// Averages of a run.
fn rows(took: &RowStats, runs: u32) -> Value {
    let mut taken = streamed(took.hit_rate(), [took.wanted, took.bytes_read], runs);
    taken["void_steps"] = each(took.void_steps, runs).into();
    taken
}

fn streamed(hit_rate: f64, [wanted, bytes_read]: [u64; 2], runs: u32) -> Value {
    json!({"hit_rate": (hit_rate * 1e4).round() / 1e4, "wanted": each(wanted, runs), "bytes_read": each(bytes_read, runs)})
}

fn each(sum: u64, runs: u32) -> u64 {
    sum / u64::from(runs.max(1))
}

/// A line for each of the four.
pub(super) fn summary(record: &Value) -> String {
    let line = |what: &str, step: &str, more: &[(&str, &str)]| {
        let took = record.get(format!("{step}_{what}"))?;
        let number = |key: &str| took[key].as_u64().unwrap_or_default();
        let hits = 100.0 * took["hit_rate"].as_f64().unwrap_or_default();
        let more: String = more.iter().map(|(key, words)| format!(", {} {words}", number(key))).collect();
        let (wanted, read) = (number("wanted"), table::bytes(number("bytes_read")));
        Some(format!("{what:<9} {step}: {hits:.1} % of {wanted} wanted were there, {read} read{more} a run\n"))
    };
    let both = |what, more: &[_]| ["prefill", "decode"].into_iter().filter_map(|step| line(what, step, more)).collect::<String>();
    both("experts", &[("round_trips", "round trips"), ("passes", "passes")]) + &both("rows", &[("void_steps", "steps queued in vain")])
}
