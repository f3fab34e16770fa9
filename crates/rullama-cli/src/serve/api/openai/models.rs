//! `/v1/models`.

use super::records::{Model, Models};
use crate::serve::api::{Catalog, Entry};
use std::time::SystemTime;

pub fn list(catalog: &Catalog) -> Models {
    Models { object: "list", data: catalog.0.iter().map(one).collect() }
}

pub fn one(entry: &Entry) -> Model {
    let created = entry.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    Model { id: entry.name.clone(), object: "model", created, owned_by: "library" }
}
