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
            "digest": files[0].digest.to_string(),
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
    let files = files(&store.resolve(&store.name_of(&digest)?).ok()?);
    let part = (0..files.len()).find(|part| address(&files, *part) == wanted)?;
    Some(files[part].path.clone())
}

/// Letters of `sha256-<hex>`.
const DIGEST: usize = "sha256-".len() + 64;

fn resolved(store: &Store) -> impl Iterator<Item = Resolved> + '_ {
    store.list().models.into_iter().filter_map(|listed| store.resolve(&listed.name).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rullama_source::gguf::{Metadata, Value, write::GgufWriter};

    fn part(number: u16) -> Vec<u8> {
        let mut metadata = Metadata::default();
        for (key, value) in [("split.no", number), ("split.count", 2)] {
            metadata.set(key, Value::U16(value));
        }
        GgufWriter::new(metadata).unwrap().start(Vec::new()).unwrap().finish().unwrap()
    }

    #[test]
    fn a_split_model_has_an_address_for_each_part() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let manifests = root.join("manifests/registry.ollama.ai/library/m");
        std::fs::create_dir_all(&manifests).unwrap();
        std::fs::create_dir_all(root.join("blobs")).unwrap();
        let layer = |kind: &str, digit: &str, content: &[u8]| {
            let hex = digit.repeat(64);
            std::fs::write(root.join(format!("blobs/sha256-{hex}")), content).unwrap();
            json!({"mediaType": format!("application/vnd.ollama.image.{kind}"), "digest": format!("sha256:{hex}"), "size": content.len()})
        };
        // The second part stands first.
        let layers = [layer("model", "b", &part(1)), layer("model", "a", &part(0))];
        std::fs::write(manifests.join("latest"), json!({"config": layer("config", "c", b"{}"), "layers": layers}).to_string()).unwrap();

        let list = list(&[root.to_owned()]);
        let first = format!("sha256-{}", "a".repeat(64));
        assert_eq!(list["models"][0]["url"], format!("/blobs/{first}-00001-of-00002.gguf"));
        assert_eq!(list["models"][0]["size"], part(0).len() + part(1).len());
        let store = Store::at(root);
        for (ending, file) in [
            ("-00001-of-00002.gguf", Some("a")),
            ("-00002-of-00002.gguf", Some("b")),
            ("", None),
            ("-00003-of-00002.gguf", None),
            ("x", None),
        ] {
            let path = file.map(|digit| root.join(format!("blobs/sha256-{}", digit.repeat(64))));
            assert_eq!(blob(&store, &format!("{first}{ending}")), path, "{ending}");
        }
    }
}
