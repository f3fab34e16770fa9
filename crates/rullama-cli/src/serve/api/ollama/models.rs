//! `/api/tags` and `/api/ps`: what is here, and what is loaded.

use crate::serve::api::{Catalog, Entry, rfc3339};
use crate::serve::host::Running;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

/// What a model that stays is said to expire after: the field has no word for never.
const AGES: Duration = Duration::from_secs(100 * 365 * 86400);

pub fn tags(catalog: &Catalog) -> Value {
    let models: Vec<Value> = catalog.0.iter().map(tag).collect();
    json!({"models": models})
}

fn tag(entry: &Entry) -> Value {
    json!({
        "name": entry.name,
        "model": entry.name,
        "modified_at": rfc3339(entry.modified),
        "size": entry.size,
        "digest": entry.digest,
        "details": details(Some(entry)),
    })
}

/// What the store says of a model in words.
pub fn details(entry: Option<&Entry>) -> Value {
    let config = entry.map(|entry| entry.config.clone()).unwrap_or_default();
    let family = config.model_family.unwrap_or_else(|| "gemma4".to_owned());
    json!({
        "parent_model": "",
        "format": config.model_format.unwrap_or_else(|| "gguf".to_owned()),
        "family": family,
        "families": [family],
        "parameter_size": config.model_type.unwrap_or_default(),
        "quantization_level": config.file_type.unwrap_or_default(),
    })
}

pub fn running(running: &[Running], catalog: &Catalog) -> Value {
    let models: Vec<Value> = running.iter().map(|model| loaded(model, catalog)).collect();
    json!({"models": models})
}

fn loaded(model: &Running, catalog: &Catalog) -> Value {
    let entry = catalog.0.iter().find(|entry| entry.name == model.name);
    json!({
        "name": model.name,
        "model": model.name,
        "size": model.bytes,
        "digest": model.digest,
        "details": details(entry),
        "expires_at": rfc3339(model.expires.unwrap_or_else(|| SystemTime::now() + AGES)),
        "size_vram": model.bytes,
        "context_length": model.context,
    })
}
