//! From what a person calls a model to its bytes.

use crate::environment;
use crate::error::usage;
use crate::terminal::{self, Progress};
use anyhow::{Context, Result, anyhow, bail};
use rullama_source::gguf::Gguf;
use rullama_source::ollama::{ModelName, Resolved, Store};
use rullama_source::{ByteSource, FileSource, HttpOptions, HttpSource, Locality, MemorySource};
use std::path::Path;
use std::sync::Arc;

/// The name of the model inside the program.
pub const EMBEDDED: &str = "embedded";

#[cfg(embedded_model)]
static EMBEDDED_BYTES: Option<&[u8]> = Some(include_bytes!("../../../web/app/public/model/rullama-demo.gguf"));
#[cfg(not(embedded_model))]
static EMBEDDED_BYTES: Option<&[u8]> = None;

/// Bytes of the embedded model, if this program was built with one.
pub fn embedded_size() -> Option<u64> {
    EMBEDDED_BYTES.map(|bytes| bytes.len() as u64)
}

/// A model that was found.
pub struct Located {
    pub source: Arc<dyn ByteSource>,
    /// What Ollama's manifest says, for models of its store.
    pub stored: Option<Resolved>,
}

impl Located {
    /// Refuses a model that is more than its file: without its adapter it would be another one.
    ///
    /// # Errors
    /// With the adapters' names.
    pub fn refuse_adapters(&self) -> Result<()> {
        let Some(stored) = self.stored.as_ref().filter(|stored| !stored.adapters.is_empty()) else { return Ok(()) };
        let adapters: Vec<String> = stored.adapters.iter().map(|blob| blob.digest.to_string()).collect();
        bail!(
            "{} has an adapter (LoRA: {}), which cannot be applied here. Merge it into the model, or name the model it was made from.",
            stored.name,
            adapters.join(", ")
        )
    }

    /// Which template the store's configuration names; `None` leaves it to the file.
    pub fn large_template(&self) -> Option<bool> {
        match self.stored.as_ref()?.config.renderer.as_deref()? {
            "gemma4-large" => Some(true),
            "gemma4-small" => Some(false),
            _ => None,
        }
    }
}

/// Ollama's store on this machine.
///
/// # Errors
/// With the folders that were tried.
pub fn store() -> Result<Store> {
    Ok(Store::locate(&environment::ollama_roots())?)
}

/// Finds a model: `embedded`, an address, a file, else a name in Ollama's store.
///
/// # Errors
/// What is wrong with it; for unknown names and files with similar ones.
pub fn locate(model: &str) -> Result<Located> {
    let plain = |source: Arc<dyn ByteSource>| Ok(Located { source, stored: None });
    if model == EMBEDDED {
        let missing = || {
            anyhow!(
                "this program was built without an embedded model. Build it again with web/app/public/model/rullama-demo.gguf in place, or name a model."
            )
        };
        return plain(Arc::new(MemorySource::from_static(EMBEDDED, EMBEDDED_BYTES.ok_or_else(missing)?)));
    }
    if model.starts_with("http://") || model.starts_with("https://") {
        let options = HttpOptions { proxy: environment::proxy(model), ..HttpOptions::default() };
        return plain(Arc::new(HttpSource::open(model, options)?));
    }
    let path = Path::new(model);
    if path.is_file() {
        return plain(Arc::new(FileSource::open(path)?));
    }
    if looks_like_path(model) {
        return Err(missing_file(path));
    }
    let name = ModelName::parse(model).map_err(|error| usage(format!("{error} Or give a path, an address or `{EMBEDDED}`.")))?;
    let stored = store()?.resolve(&name)?;
    if let [second, ..] = &stored.ignored_models[..] {
        terminal::tell_line(format_args!("note: {name} lists a second model file ({}), which is not used", second.digest));
    }
    let source = Arc::new(FileSource::open(&stored.model.path)?);
    Ok(Located { source, stored: Some(stored) })
}

/// A name of the store has neither a leading `.`, `/` or `~` nor the ending of a file.
fn looks_like_path(model: &str) -> bool {
    let ends = model.to_ascii_lowercase().ends_with(".gguf");
    ends || model.starts_with(['.', '/', '~', '\\']) || model.contains('\\') || Path::new(model).is_dir()
}

fn missing_file(path: &Path) -> anyhow::Error {
    if path.is_dir() {
        return anyhow!("{} is a folder. Give the .gguf file in it.{}", path.display(), neighbours(path));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return anyhow!("{}: there is no folder {}. Check the path.", path.display(), folder.display());
    }
    anyhow!("{}: there is no such file. Check the path.{}", path.display(), neighbours(folder))
}

/// The `.gguf` files of a folder, in words.
fn neighbours(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.to_ascii_lowercase().ends_with(".gguf")).collect();
    names.sort();
    names.truncate(5);
    if names.is_empty() { String::new() } else { format!(" The folder has {}.", names.join(", ")) }
}

/// Opens a model and reads its header.
///
/// # Errors
/// As [`locate`], and what is wrong with the header.
pub fn open(model: &str) -> Result<(Located, Gguf)> {
    let located = locate(model)?;
    let gguf = header(model, &located)?;
    Ok((located, gguf))
}

/// Reads the header of a model that was found as `model`.
///
/// # Errors
/// What is wrong with it.
pub fn header(model: &str, located: &Located) -> Result<Gguf> {
    let mut line = Progress::new();
    if located.source.locality() == Locality::Remote {
        line.now("reading the header ...");
    }
    let gguf = pollster::block_on(Gguf::open(located.source.as_ref()));
    gguf.with_context(|| format!("{model} cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths() {
        for path in ["./x", "/x", "~/x", "a/b.gguf", "x.GGUF", "C:\\m", ".."] {
            assert!(looks_like_path(path), "{path}");
        }
        for name in ["gemma4:e2b", "hf.co/org/repo:Q4_K_M", "gemma4"] {
            assert!(!looks_like_path(name), "{name}");
        }
    }
}
