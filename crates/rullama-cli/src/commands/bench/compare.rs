//! A record beside another program's, as ratios.

use crate::input;
use crate::table::Table;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::path::Path;

/// What both sides may have measured: the field, and whether more is better.
const FIELDS: [(&str, bool); 7] = [
    ("prefill_tok_s", true),
    ("decode_tok_s", true),
    ("load_gb_s", true),
    ("bandwidth_share", true),
    ("gpu_bytes", false),
    ("dispatches_per_token", false),
    ("bytes_per_token", false),
];

/// What must be the same for two speeds to be compared.
const SHAPE: [&str; 5] = ["device", "model", "context", "prefill", "decode"];

/// The peer's record: that of `rullama bench --json`, or the output of `llama-bench -o json` for the lengths of `shape`.
///
/// # Errors
/// A file that is neither, or that measured nothing that a record has.
pub fn peer(path: &Path, shape: &Value) -> Result<Value> {
    let peer: Value = serde_json::from_str(&input::file(path)?).with_context(|| format!("{} is not JSON", path.display()))?;
    let peer = match &peer {
        Value::Array(tests) => llama_bench(tests, shape),
        Value::Object(_) => Some(peer),
        _ => None,
    };
    let measured = |peer: &Value| FIELDS.iter().any(|(field, _)| peer[*field].is_number());
    let Some(peer) = peer.filter(measured) else {
        let [prefill, decode, context] = ["prefill", "decode", "context"].map(|field| &shape[field]);
        bail!(
            "{} has no speed to compare with. Give a record of `rullama bench --json`, or what \
             `llama-bench -p {prefill} -n {decode} -d 0,{context} -o json` prints.",
            path.display()
        );
    };
    Ok(peer)
}

/// Adds `compared` to a record: the peer, `ratios` (this over the peer) and `differences` (of device or shape, which make the ratios
/// less than a comparison).
pub fn add(record: &mut Value, peer: &Value) {
    let ratios = FIELDS.iter().filter_map(|(field, _)| {
        let (this, that) = (record[*field].as_f64()?, peer[*field].as_f64().filter(|value| *value != 0.0)?);
        Some(((*field).to_owned(), json!((this / that * 1000.0).round() / 1000.0)))
    });
    let ratios = Value::Object(ratios.collect());
    let differs = |field: &&str| !peer[*field].is_null() && peer[*field] != record[*field];
    let differences: Vec<&str> = SHAPE.into_iter().filter(differs).collect();
    record["compared"] = json!({"peer": peer, "ratios": ratios, "differences": differences});
}

/// The tests of llama-bench that measured what this record did.
fn llama_bench(tests: &[Value], shape: &Value) -> Option<Value> {
    let find = |prompt: &Value, decode: &Value, depth: &Value| {
        let wanted = |test: &&Value| {
            let depth_of = if test["n_depth"].is_null() { json!(0) } else { test["n_depth"].clone() };
            test["n_prompt"] == *prompt && test["n_gen"] == *decode && depth_of == *depth
        };
        tests.iter().find(wanted)
    };
    let none = json!(0);
    let prefill = find(&shape["prefill"], &none, &none);
    let decode = find(&none, &shape["decode"], &shape["context"]);
    let any = prefill.or(decode)?;
    Some(json!({
        "backend": format!("llama.cpp {}", any["backends"].as_str().unwrap_or_default()).trim_end(),
        "commit": any["build_commit"],
        "device": any["gpu_info"],
        "model": any["model_type"],
        "prefill": prefill.map(|_| &shape["prefill"]),
        "context": decode.map(|_| &shape["context"]),
        "decode": decode.map(|_| &shape["decode"]),
        "prefill_tok_s": prefill.map(|test| &test["avg_ts"]),
        "decode_tok_s": decode.map(|test| &test["avg_ts"]),
    }))
}

/// The comparison as lines for a person.
pub fn summary(record: &Value) -> String {
    let compared = &record["compared"];
    let Some(ratios) = compared["ratios"].as_object() else { return String::new() };
    let mut table = Table::new(&["against the peer", ">this", ">peer", ">ratio", ""]);
    for (field, more) in FIELDS {
        let Some(ratio) = ratios.get(field).and_then(Value::as_f64) else { continue };
        let word = match ratio {
            1.0 => "equal",
            ratio if (ratio > 1.0) == more => "better",
            _ => "worse",
        };
        table.row([field.into(), record[field].to_string(), compared["peer"][field].to_string(), format!("{ratio:.3}"), word.into()]);
    }
    let differences: Vec<&str> = compared["differences"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let note = match differences[..] {
        [] => String::new(),
        _ => format!("Not the same on both sides: {}. Ratios compare only what was measured alike.\n", differences.join(", ")),
    };
    format!("\n{}{note}", table.render())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Value {
        json!({"model": "m", "device": "GPU", "context": 512, "prefill": 512, "decode": 128, "prefill_tok_s": 200.0, "decode_tok_s": 50.0,
            "gpu_bytes": 300})
    }

    fn with(other: &Value) -> Result<Value> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peer.json");
        std::fs::write(&path, other.to_string()).unwrap();
        let mut record = record();
        let peer = peer(&path, &record)?;
        add(&mut record, &peer);
        Ok(record)
    }

    #[test]
    fn records_of_the_same_shape() {
        let peer = json!({"model": "m", "device": "GPU", "context": 512, "prefill": 512, "decode": 128, "prefill_tok_s": 100.0,
            "decode_tok_s": 100.0, "gpu_bytes": 300});
        let record = with(&peer).unwrap();
        assert_eq!(record["compared"]["ratios"], json!({"prefill_tok_s": 2.0, "decode_tok_s": 0.5, "gpu_bytes": 1.0}));
        assert_eq!(record["compared"]["differences"], json!([]));
        let text = summary(&record);
        let line = |field: &str| text.lines().find(|line| line.contains(field)).unwrap().trim_end().to_owned();
        assert!(line("prefill_tok_s").ends_with("2.000  better"), "{text}");
        assert!(line("decode_tok_s").ends_with("0.500  worse"), "{text}");
        assert!(line("gpu_bytes").ends_with("1.000  equal"), "{text}");
    }

    #[test]
    fn what_differs_is_said() {
        let record = with(&json!({"device": "another", "context": 8000, "decode_tok_s": 100.0})).unwrap();
        assert_eq!(record["compared"]["differences"], json!(["device", "context"]));
        assert!(summary(&record).contains("Not the same on both sides: device, context."));
    }

    #[test]
    fn llama_bench_of_the_same_lengths() {
        let test = |prompt: u32, decode: u32, depth: u32, speed: f64| json!({"n_prompt": prompt, "n_gen": decode, "n_depth": depth, "avg_ts": speed, "gpu_info": "GPU", "model_type": "m", "backends": "CUDA"});
        let peer = json!([test(512, 0, 0, 400.0), test(0, 128, 0, 1.0), test(0, 128, 512, 25.0), test(512, 0, 512, 1.0)]);
        let record = with(&peer).unwrap();
        assert_eq!(record["compared"]["ratios"], json!({"prefill_tok_s": 0.5, "decode_tok_s": 2.0}));
        assert_eq!(record["compared"]["peer"]["backend"], "llama.cpp CUDA");
    }

    #[test]
    fn what_is_no_peer_is_refused() {
        for peer in [json!([]), json!({}), json!(1), json!([{"n_prompt": 64, "n_gen": 0, "avg_ts": 1.0}])] {
            let error = with(&peer).unwrap_err().to_string();
            assert!(
                error.contains("has no speed to compare with") && error.contains("llama-bench -p 512 -n 128 -d 0,512 -o json"),
                "{error}"
            );
        }
    }
}
