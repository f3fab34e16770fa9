//! Ollama's models as the page sees them.

use crate::model::files;
use rullama_source::ollama::{Blob, Digest, Resolved, Store};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Every model that could be loaded. Those in other forms are left out.
pub fn list(roots: &[PathBuf]) -> Value {
    let Ok(store) = Store::locate(roots) else { return json!({"models": []}) };
    let records = resolved(&store).map(|model| {
        let params = &model.params;
        let files = files(&model);
        json!({
            "name": model.name.to_string(),
            "size": files.iter().map(|file| file.size).sum::<u64>(),
            "digest": model.model.digest.to_string(),
            "url": format!("/blobs/{}", address(&files, 0)),
            "parameters": model.config.model_type,
            "type": model.config.file_type,
            "renderer": model.config.renderer,
            "system": model.system,
            "sampling": {"temperature": params.temperature, "top_k": params.top_k, "top_p": params.top_p, "min_p": params.min_p, "stop": params.stop},
        })
    });
    json!({"models": records.collect::<Vec<_>>()})
}

/// The last part of a file's address: its digest; of a part of a split model the first's, with the ending that tells the parts.
fn address(files: &[Blob], part: usize) -> String {
    let first = files[0].digest.file_name();
    if files.len() == 1 { first } else { format!("{first}-{:05}-of-{:05}.gguf", part + 1, files.len()) }
}

/// The file of a model at this address; other blobs (configuration, licences, ...) are not served.
pub fn blob(store: &Store, wanted: &str) -> Option<PathBuf> {
    let digest = Digest::parse(wanted.get(..DIGEST)?).ok()?;
    let mut of_model = resolved(store).filter(|model| model.model.digest == digest).map(|model| files(&model));
    let find = |files: Vec<Blob>| (0..files.len()).find(|part| address(&files, *part) == wanted).map(|part| files[part].path.clone());
    of_model.find_map(find)
}

/// Letters of `sha256-<hex>`.
const DIGEST: usize = "sha256-".len() + 64;

fn resolved(store: &Store) -> impl Iterator<Item = Resolved> + '_ {
    store.list().models.into_iter().filter_map(|listed| store.resolve(&listed.name).ok())
}
