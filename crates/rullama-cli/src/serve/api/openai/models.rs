//! `/v1/models`.

use crate::serve::api::{Catalog, Entry};
use serde_json::{Value, json};
use std::time::SystemTime;

pub fn list(catalog: &Catalog) -> Value {
    json!({"object": "list", "data": catalog.0.iter().map(one).collect::<Vec<_>>()})
}

pub fn one(entry: &Entry) -> Value {
    let created = entry.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    json!({"id": entry.name, "object": "model", "created": created, "owned_by": "library"})
}
