//! `/api/tags` and `/api/ps`: what is here, and what is loaded.

use crate::serve::api::{Catalog, Entry, rfc3339};
use crate::serve::host::Running;
use serde::Serialize;
use std::time::{Duration, SystemTime};

/// What a model that stays is said to expire after: the field has no word for never.
const AGES: Duration = Duration::from_secs(100 * 365 * 86400);

/// A list of models.
#[derive(Serialize)]
pub struct Models<T> {
    models: Vec<T>,
}

/// A model that is here.
#[derive(Serialize)]
pub struct Tag {
    name: String,
    model: String,
    modified_at: String,
    /// Bytes of its files.
    size: u64,
    digest: String,
    details: Details,
}

/// A model that is loaded.
#[derive(Serialize)]
pub struct Loaded {
    name: String,
    model: String,
    /// Bytes, all of them on the GPU.
    size: u64,
    digest: String,
    details: Details,
    expires_at: String,
    size_vram: u64,
    context_length: u32,
}

/// What the store says of a model in words.
#[derive(Serialize)]
pub struct Details {
    parent_model: &'static str,
    format: String,
    family: String,
    families: Vec<String>,
    pub parameter_size: String,
    quantization_level: String,
}

impl Details {
    pub fn of(entry: Option<&Entry>) -> Self {
        let config = entry.map(|entry| entry.config.clone()).unwrap_or_default();
        let family = config.model_family.unwrap_or_else(|| "gemma4".to_owned());
        Details {
            parent_model: "",
            format: config.model_format.unwrap_or_else(|| "gguf".to_owned()),
            families: vec![family.clone()],
            family,
            parameter_size: config.model_type.unwrap_or_default(),
            quantization_level: config.file_type.unwrap_or_default(),
        }
    }
}

/// The name with its tag, as Ollama has it in `model` always: open-webui looks a model up by nothing else.
fn tagged(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}

pub fn tags(catalog: &Catalog) -> Models<Tag> {
    let tag = |entry: &Entry| Tag {
        name: entry.name.clone(),
        model: tagged(&entry.name),
        modified_at: rfc3339(entry.modified),
        size: entry.size,
        digest: entry.digest.clone(),
        details: Details::of(Some(entry)),
    };
    Models { models: catalog.0.iter().map(tag).collect() }
}

pub fn running(running: &[Running], catalog: &Catalog) -> Models<Loaded> {
    let loaded = |model: &Running| Loaded {
        name: model.name.clone(),
        model: tagged(&model.name),
        size: model.bytes,
        digest: model.digest.clone(),
        details: Details::of(catalog.0.iter().find(|entry| entry.name == model.name)),
        expires_at: rfc3339(model.expires.unwrap_or_else(|| SystemTime::now() + AGES)),
        size_vram: model.bytes,
        context_length: model.context,
    };
    Models { models: running.iter().map(loaded).collect() }
}
