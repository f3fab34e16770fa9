//! The table of README.md.

use super::{number, read};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::Path;

/// Rows `name`, `exact`, `int8`: two records of one device and one length of prompt and context each.
///
/// # Errors
/// Records that are missing, or not to be compared.
pub fn markdown(benchmarks: &Path, table: &Value) -> Result<String> {
    let mut out = String::new();
    let mut device: Option<String> = None;
    for row in table["rows"].as_array().context("figures.json: `table.rows` is no list")? {
        let name = row["name"].as_str().context("figures.json: a row has no `name`")?;
        let records = ["exact", "int8"].map(|key| row[key].as_str().with_context(|| format!("figures.json: {name} has no `{key}`")));
        let [exact, int8] = records.map(|path| path.and_then(|path| Ok((path.to_owned(), read(&benchmarks.join(path))?))));
        let (exact, int8) = (exact?, int8?);
        for field in ["device", "commit", "model", "kv", "context", "prefill", "decode"] {
            if exact.1[field] != int8.1[field] {
                bail!("{name}: the records differ in `{field}`: {} and {}", exact.1[field], int8.1[field]);
            }
        }
        if (exact.1["products"].as_str(), int8.1["products"].as_str()) != (Some("exact"), Some("int8")) {
            bail!("{name}: the records are not of exact and of int8 products");
        }
        let own = exact.1["device"].as_str().context("a record has no device")?.to_owned();
        if device.get_or_insert_with(|| own.clone()) != &own {
            bail!("{name}: of {own}, unlike the rows before");
        }
        out.push_str(&line(name, &exact, &int8)?);
    }
    let device = device.context("figures.json: no rows")?;
    let head = format!(
        "| {device} | decoding, tokens/s | of its bandwidth | prompt of 512, tokens/s | GPU memory | records |\n|---|---|---|---|---|---|\n"
    );
    Ok(head + &out)
}

fn line(name: &str, exact: &(String, Value), int8: &(String, Value)) -> Result<String> {
    let both = |field: &str, digits: usize| -> Result<String> {
        Ok(format!("{:.digits$} → **{:.digits$}**", number(&exact.1, field)?, number(&int8.1, field)?))
    };
    let share = |record: &Value| Ok::<_, anyhow::Error>((100.0 * number(record, "bandwidth_share")?).round());
    let (decode, prefill) = (both("decode_tok_s", 0)?, both("prefill_tok_s", 0)?);
    let (before, after) = (share(&exact.1)?, share(&int8.1)?);
    let memory = number(&int8.1, "gpu_bytes")? / 1e9;
    let (from, to) = (&exact.0, &int8.0);
    Ok(format!(
        "| {name} | {decode} | {before} → {after} % | {prefill} | {memory:.1} GB | [exact](benchmarks/{from}), [int8](benchmarks/{to}) |\n"
    ))
}
