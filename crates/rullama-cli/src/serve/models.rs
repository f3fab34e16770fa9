//! Ollama's models as the page sees them.

use rullama_source::ollama::{Digest, Resolved, Store};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Every model that could be loaded. Those in other forms are left out.
pub fn list(roots: &[PathBuf]) -> Value {
    let Ok(store) = Store::locate(roots) else { return json!({"models": []}) };
    let records = resolved(&store).map(|model| {
        let params = &model.params;
        json!({
            "name": model.name.to_string(),
            "size": model.model.size,
            "digest": model.model.digest.to_string(),
            "url": format!("/blobs/{}", model.model.digest.file_name()),
            "parameters": model.config.model_type,
            "type": model.config.file_type,
            "renderer": model.config.renderer,
            "system": model.system,
            "sampling": {"temperature": params.temperature, "top_k": params.top_k, "top_p": params.top_p, "min_p": params.min_p, "stop": params.stop},
        })
    });
    json!({"models": records.collect::<Vec<_>>()})
}

/// The file of a model with this digest; other blobs (configuration, licences, ...) are not served.
pub fn blob(store: &Store, digest: &str) -> Option<PathBuf> {
    Some(store.model_blob(&Digest::parse(digest).ok()?)?.path)
}

fn resolved(store: &Store) -> impl Iterator<Item = Resolved> + '_ {
    let listed = store.list().unwrap_or_default();
    listed.into_iter().filter_map(|listed| store.resolve(&listed.name).ok())
}
