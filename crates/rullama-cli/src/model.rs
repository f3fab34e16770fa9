//! From what a person calls a model to its bytes.

use crate::environment;
use crate::error::{Usage, usage};
use crate::terminal::{self, Progress};
use anyhow::{Context, Result, anyhow, bail};
use rullama_source::gguf::{Gguf, peek};
use rullama_source::ollama::{Blob, ModelName, Resolved, Store, StoreError, is_verified};
use rullama_source::{ByteSource, FileSource, HttpOptions, JoinedSource, Locality, MemorySource, open_path, open_url};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
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
            "{} has an adapter (LoRA: {}), which is not applied here. Merge it into the model (`rullama merge {} OUT.gguf`) and take OUT.gguf, or name the model it was made from.",
            stored.name,
            adapters.join(", "),
            stored.name
        )
    }

    /// Tells of a template that a person would expect to be used, and is not.
    pub fn note_template(&self) {
        if let Some(stored) = self.stored.as_ref().filter(|stored| stored.own_template().is_some()) {
            let name = &stored.name;
            terminal::tell(&format!(
                "note: {name} has a template of its own, which is not used: prompts are rendered as Gemma 4 has them (`rullama show {name}` prints it)\n"
            ));
        }
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
pub fn locate(model: &OsStr) -> Result<Located> {
    let path = Path::new(model);
    let Some(text) = model.to_str() else { return file(path) };
    if text == EMBEDDED {
        return embedded();
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        let options = HttpOptions { proxy: environment::proxy(text), ..HttpOptions::default() };
        return Ok(Located { source: open_url(text, &options)?, stored: None });
    }
    let here = std::fs::metadata(path);
    let missing = here.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
    if looks_like_path(text) {
        return if missing { Err(missing_file(path)) } else { file(path) };
    }
    if here.is_ok_and(|about| about.is_file()) && is_gguf(path) {
        if ModelName::parse(text).is_ok_and(|name| store().is_ok_and(|store| store.find(&name).is_ok())) {
            terminal::tell_line(format_args!("note: {text} is taken for the file here, not for Ollama's model of this name"));
        }
        return file(path);
    }
    match named(text) {
        // Something else has the name here: what it is, is told where the store does not know better.
        Err(error) if !missing && is_unknown(&error) => file(path),
        other => other,
    }
}

/// A model by the names that a server knows: `embedded` and those of Ollama's store, never a path or an address.
///
/// # Errors
/// As [`locate`].
pub fn served(name: &str, roots: &[PathBuf]) -> Result<Located> {
    if is_embedded(name) {
        return embedded();
    }
    let name = ModelName::parse(name)?;
    resolved(Store::locate(roots)?.resolve(&name)?)
}

/// `embedded`, also with the tag that Ollama's programs add.
pub fn is_embedded(name: &str) -> bool {
    name.strip_suffix(":latest").unwrap_or(name) == EMBEDDED
}

/// The embedded model's bytes.
pub fn embedded_bytes() -> Option<&'static [u8]> {
    EMBEDDED_BYTES
}

fn embedded() -> Result<Located> {
    let bytes = EMBEDDED_BYTES.ok_or_else(|| {
        anyhow!(
            "this program was built without an embedded model. Build it again with web/app/public/model/rullama-demo.gguf in place, or name a model."
        )
    })?;
    Ok(Located { source: Arc::new(MemorySource::from_static(EMBEDDED, bytes)), stored: None })
}

fn file(path: &Path) -> Result<Located> {
    if path.is_dir() {
        bail!("{} is a folder. Give the .gguf file in it.{}", path.display(), neighbours(path));
    }
    Ok(Located { source: open_path(path)?, stored: None })
}

fn is_gguf(path: &Path) -> bool {
    let head = FileSource::open(path).and_then(|file| pollster::block_on(file.read(0, 4)));
    head.is_ok_and(|head| head == b"GGUF")
}

fn is_unknown(error: &anyhow::Error) -> bool {
    let unknown = |error: &StoreError| matches!(error, StoreError::NotFound { .. } | StoreError::NoStore { .. });
    error.is::<Usage>() || error.downcast_ref::<StoreError>().is_some_and(unknown)
}

/// A model of Ollama's store.
fn named(text: &str) -> Result<Located> {
    let name = ModelName::parse(text).map_err(|error| usage(format!("{error} Or give a path, an address or `{EMBEDDED}`.")))?;
    let stored = store()?.resolve(&name)?;
    if let (1, [second, ..]) = (files(&stored).len(), &stored.ignored_models[..]) {
        terminal::tell_line(format_args!("note: {name} lists a second model file ({}), which is not used", second.digest));
    }
    note_altered(&stored);
    resolved(stored)
}

fn resolved(stored: Resolved) -> Result<Located> {
    let mut parts: Vec<Arc<dyn ByteSource>> = Vec::new();
    for blob in files(&stored) {
        parts.push(Arc::new(FileSource::open(&blob.path)?));
    }
    let source = if parts.len() == 1 { parts.remove(0) } else { Arc::new(JoinedSource::new(parts)) };
    Ok(Located { source, stored: Some(stored) })
}

/// Tells of files that may not be what they were: to hash gigabytes before each start would take longer than to load them.
fn note_altered(stored: &Resolved) {
    let known = environment::verified();
    let checked = |blob: &&Blob| known.as_ref().is_some_and(|cache| is_verified(blob, cache));
    let altered: Vec<String> = stored.altered.iter().filter(|blob| !checked(blob)).map(|blob| blob.digest.to_string()).collect();
    if !altered.is_empty() {
        terminal::tell_line(format_args!(
            "note: of {name}, {} was written to after Ollama stored it; `rullama show {name} --verify` tells whether it is still what its name says",
            altered.join(", "),
            name = stored.name
        ));
    }
}

/// The files of a stored model: where the first is a part of a split one, all its parts in their order.
pub fn files(stored: &Resolved) -> Vec<Blob> {
    let alone = || vec![stored.model.clone()];
    if stored.ignored_models.is_empty() {
        return alone();
    }
    // What cannot be read is told of by the load.
    let split = |blob: &Blob| FileSource::open(&blob.path).ok().and_then(|file| pollster::block_on(peek(&file)).ok().flatten());
    let Some(first) = split(&stored.model) else { return alone() };
    let others = stored.ignored_models.iter().filter_map(|blob| Some((split(blob)?, blob)));
    let mut parts: Vec<_> = others.filter(|(split, _)| split.count == first.count).collect();
    parts.push((first, &stored.model));
    parts.sort_by_key(|(split, _)| split.number);
    parts.into_iter().map(|(_, blob)| blob.clone()).collect()
}

/// A name of the store has neither a leading `.`, `/` or `~` nor the ending of a file.
fn looks_like_path(model: &str) -> bool {
    let ends = model.to_ascii_lowercase().ends_with(".gguf");
    ends || model.starts_with(['.', '/', '~', '\\']) || model.ends_with('/') || model.contains('\\')
}

fn missing_file(path: &Path) -> anyhow::Error {
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
pub fn open(model: &OsStr) -> Result<(Located, Gguf)> {
    let located = locate(model)?;
    let gguf = header(model, &located)?;
    Ok((located, gguf))
}

/// Reads the header of a model that was found as `model`.
///
/// # Errors
/// What is wrong with it.
pub fn header(model: &OsStr, located: &Located) -> Result<Gguf> {
    let mut line = Progress::new();
    if located.source.locality() == Locality::Remote {
        line.now("reading the header ...");
    }
    let gguf = pollster::block_on(Gguf::open(located.source.as_ref()));
    gguf.with_context(|| format!("{} cannot be read", model.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths() {
        for path in ["./x", "/x", "~/x", "a/b.gguf", "x.GGUF", "C:\\m", "..", "plain/"] {
            assert!(looks_like_path(path), "{path}");
        }
        for name in ["gemma4:e2b", "hf.co/org/repo:Q4_K_M", "gemma4"] {
            assert!(!looks_like_path(name), "{name}");
        }
    }
}
