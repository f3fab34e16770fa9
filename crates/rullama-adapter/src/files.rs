//! Adapters as files and folders of this machine.

use crate::{AdapterError, peft};
use rullama_source::{ByteSource, FileSource, SourceError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of the adapter at `path`, for [`crate::read()`]: a folder's two PEFT files or its one GGUF adapter, a file, and with
/// one of PEFT's files the other.
///
/// # Errors
/// A path that does not exist; a folder without an adapter.
pub fn open(path: &Path) -> Result<Vec<Arc<dyn ByteSource>>, AdapterError> {
    files(path)?.iter().map(|file| Ok(Arc::new(FileSource::open(file)?) as Arc<dyn ByteSource>)).collect()
}

fn files(path: &Path) -> Result<Vec<PathBuf>, AdapterError> {
    if path.is_dir() {
        return folder(path);
    }
    let other = match path.file_name().and_then(|name| name.to_str()) {
        Some(peft::CONFIG) => peft::MODEL,
        Some(name) if name.ends_with(".safetensors") => peft::CONFIG,
        _ => return Ok(vec![path.to_owned()]),
    };
    let other = path.with_file_name(other);
    Ok([path.to_owned()].into_iter().chain(other.is_file().then_some(other)).collect())
}

fn folder(path: &Path) -> Result<Vec<PathBuf>, AdapterError> {
    let own = [peft::CONFIG, peft::MODEL].map(|name| path.join(name));
    let not = |what: String, remedy| AdapterError::NotAnAdapter { file: path.display().to_string(), what, remedy };
    match own.clone().map(|file| file.exists()) {
        [true, true] => return Ok(own.to_vec()),
        [true, false] if path.join("adapter_model.bin").exists() => {
            let remedy = "Save the adapter as safetensors (PEFT's `save_pretrained` with `safe_serialization=True`).";
            return Err(not("a folder with matrices as a PyTorch pickle (adapter_model.bin)".to_owned(), remedy));
        }
        [true, false] => return Err(AdapterError::Incomplete { file: own[0].display().to_string(), missing: peft::MODEL }),
        [false, true] => return Err(AdapterError::Incomplete { file: own[1].display().to_string(), missing: peft::CONFIG }),
        [false, false] => {}
    }
    let failed = |source| SourceError::Open { name: path.display().to_string(), source };
    let entries = std::fs::read_dir(path).map_err(failed)?.flatten().map(|entry| entry.path());
    let ggufs: Vec<PathBuf> = entries.filter(|file| file.extension().is_some_and(|end| end.eq_ignore_ascii_case("gguf"))).take(2).collect();
    match &ggufs[..] {
        [_] => Ok(ggufs),
        [] => Err(not("a folder without adapter_config.json".to_owned(), "Give the folder of a PEFT adapter, or an adapter's file.")),
        _ => Err(not("a folder with several GGUF files".to_owned(), "Give one of them.")),
    }
}
