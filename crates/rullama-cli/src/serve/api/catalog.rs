//! The models that the APIs know: Ollama's store and the embedded one.

use crate::model::{self, EMBEDDED};
use crate::serve::host::Wanted;
use anyhow::Result;
use rullama_source::ollama::{Config, ModelName, Store};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

/// Largest manifest that is hashed; real ones have a few hundred bytes.
const MANIFEST: u64 = 1 << 20;

/// One model.
#[derive(Debug, Clone)]
pub struct Entry {
    pub name: String,
    /// Bytes of all its files.
    pub size: u64,
    pub digest: String,
    pub modified: SystemTime,
    /// Parameters and quantisation in words, as the store has them.
    pub config: Config,
}

#[derive(Debug, Default)]
pub struct Catalog(pub Vec<Entry>);

impl Catalog {
    /// Every model that can be read; the embedded one comes last.
    pub fn read(roots: &[PathBuf]) -> Catalog {
        let mut entries = Vec::new();
        if let Ok(store) = Store::locate(roots) {
            let models = store.list().models.into_iter().filter(|model| model.problem.is_none());
            entries.extend(models.filter_map(|model| {
                let digest = manifest_digest(store.root(), &model.name)?;
                let modified = model.modified.unwrap_or(SystemTime::UNIX_EPOCH);
                Some(Entry { name: model.name.to_string(), size: model.size?, digest, modified, config: model.config })
            }));
        }
        entries.extend(embedded());
        Catalog(entries)
    }
}

/// The embedded model, as old as this program.
fn embedded() -> Option<Entry> {
    let size = model::embedded_size()?;
    let program = std::env::current_exe().and_then(std::fs::metadata).and_then(|about| about.modified());
    let config = Config { model_format: Some("gguf".to_owned()), model_family: Some("gemma4".to_owned()), ..Config::default() };
    let modified = program.unwrap_or(SystemTime::UNIX_EPOCH);
    Some(Entry { name: EMBEDDED.to_owned(), size, digest: embedded_digest(), modified, config })
}

fn embedded_digest() -> String {
    static DIGEST: OnceLock<String> = OnceLock::new();
    DIGEST.get_or_init(|| hexadecimal(model::embedded_bytes().unwrap_or_default())).clone()
}

fn hexadecimal(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of a model's manifest, as Ollama tells models apart.
fn manifest_digest(root: &Path, name: &ModelName) -> Option<String> {
    let path = name.parts().iter().fold(root.join("manifests"), |path, part| path.join(part));
    let about = std::fs::metadata(&path).ok().filter(|about| about.is_file() && about.len() <= MANIFEST)?;
    let bytes = std::fs::read(&path).ok()?;
    (bytes.len() as u64 <= MANIFEST.max(about.len())).then(|| hexadecimal(&bytes))
}

/// The model of a request.
///
/// # Errors
/// What is wrong with the name or the model.
pub fn wanted(name: &str, roots: &[PathBuf]) -> Result<Wanted> {
    let located = model::served(name, roots)?;
    located.refuse_adapters()?;
    let (name, digest) = match &located.stored {
        None => (EMBEDDED.to_owned(), embedded_digest()),
        Some(stored) => {
            let root = Store::locate(roots)?;
            (stored.name.to_string(), manifest_digest(root.root(), &stored.name).unwrap_or_default())
        }
    };
    Ok(Wanted { name, digest, located })
}
