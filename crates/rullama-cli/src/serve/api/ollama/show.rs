//! `/api/show`: what is in a model.

use super::models::Details;
use crate::serve::api::{Entry, rfc3339};
use crate::serve::host::Wanted;
use anyhow::Result;
use rullama_source::gguf::{Array, Gguf, Value as Meta};
use rullama_source::ollama::Params;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Longest list that is shown without `verbose`.
const SHORT: usize = 64;

/// What is in a model.
#[derive(Serialize)]
pub struct Show {
    license: String,
    modelfile: String,
    parameters: String,
    template: String,
    system: String,
    details: Details,
    model_info: Map<String, Value>,
    capabilities: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified_at: Option<String>,
}

/// # Errors
/// A header that cannot be read.
pub fn show(wanted: &Wanted, entry: Option<&Entry>, verbose: bool) -> Result<Show> {
    let gguf = pollster::block_on(Gguf::open(wanted.located.source.as_ref()))?;
    let embeds = rullama_model::model::open_encoder(&gguf).is_ok();
    let stored = wanted.located.stored.as_ref();
    let mut model_info: Map<String, Value> = gguf.metadata.iter().map(|(key, value)| (key.to_owned(), metadata(value, verbose))).collect();
    let parameters: u64 = gguf.tensors.iter().map(|tensor| tensor.elements()).sum();
    model_info.entry("general.parameter_count").or_insert(json!(parameters));
    let mut details = Details::of(entry);
    if details.parameter_size.is_empty() {
        details.parameter_size = format!("{:.1}M", parameters as f64 / 1e6);
    }
    Ok(Show {
        license: stored.map(|stored| stored.licenses.join("\n")).unwrap_or_default(),
        modelfile: modelfile(wanted),
        parameters: stored.map(|stored| parameters_of(&stored.params)).unwrap_or_default(),
        template: stored.and_then(|stored| stored.template.clone()).unwrap_or_default(),
        system: stored.and_then(|stored| stored.system.clone()).unwrap_or_default(),
        details,
        model_info,
        capabilities: if embeds { vec!["embedding"] } else { vec!["completion", "tools", "thinking"] },
        modified_at: entry.map(|entry| rfc3339(entry.modified)),
    })
}

/// One metadata value; long lists are null unless they are asked for.
fn metadata(value: &Meta, verbose: bool) -> Value {
    match value {
        Meta::String(text) => json!(text),
        Meta::Array(array) if array.len() > SHORT && !verbose => Value::Null,
        Meta::Array(array) => list(array),
        Meta::U8(v) => json!(v),
        Meta::I8(v) => json!(v),
        Meta::U16(v) => json!(v),
        Meta::I16(v) => json!(v),
        Meta::U32(v) => json!(v),
        Meta::I32(v) => json!(v),
        Meta::F32(v) => json!(v),
        Meta::Bool(v) => json!(v),
        Meta::U64(v) => json!(v),
        Meta::I64(v) => json!(v),
        Meta::F64(v) => json!(v),
    }
}

fn list(array: &Array) -> Value {
    match array {
        Array::U8(v) => json!(v),
        Array::I8(v) => json!(v),
        Array::U16(v) => json!(v),
        Array::I16(v) => json!(v),
        Array::U32(v) => json!(v),
        Array::I32(v) => json!(v),
        Array::F32(v) => json!(v),
        Array::Bool(v) => json!(v),
        Array::String(v) => v.iter().collect(),
        Array::U64(v) => json!(v),
        Array::I64(v) => json!(v),
        Array::F64(v) => json!(v),
    }
}

/// Stored parameters, a line each.
fn parameters_of(params: &Params) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "{name:<30} {value}");
        }
    };
    let number = |number: Option<f32>| number.map(|number| number.to_string());
    let whole = |number: Option<i64>| number.map(|number| number.to_string());
    line("temperature", number(params.temperature));
    line("top_k", whole(params.top_k));
    line("top_p", number(params.top_p));
    line("min_p", number(params.min_p));
    line("repeat_last_n", whole(params.repeat_last_n));
    line("repeat_penalty", number(params.repeat_penalty));
    line("presence_penalty", number(params.presence_penalty));
    line("frequency_penalty", number(params.frequency_penalty));
    line("seed", whole(params.seed));
    line("num_predict", whole(params.num_predict));
    line("num_ctx", whole(params.num_ctx));
    params.stop.iter().for_each(|stop| line("stop", Some(format!("{stop:?}"))));
    text.truncate(text.trim_end().len());
    text
}

/// The model as a Modelfile would make it.
fn modelfile(wanted: &Wanted) -> String {
    let mut text = format!("FROM {}\n", wanted.name);
    let Some(stored) = &wanted.located.stored else { return text };
    for (word, content) in [("TEMPLATE", &stored.template), ("SYSTEM", &stored.system)] {
        if let Some(content) = content {
            let _ = writeln!(text, "{word} \"\"\"{content}\"\"\"");
        }
    }
    for line in parameters_of(&stored.params).lines() {
        let _ = writeln!(text, "PARAMETER {line}");
    }
    text
}
