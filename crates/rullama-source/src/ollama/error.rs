//! Errors of names, manifests and the store.

use std::{io, path::PathBuf};

/// Why a text is not a model name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{input:?} is not a model name: {reason}. Names look like gemma4:e2b.")]
pub struct NameError {
    pub input: String,
    pub reason: &'static str,
}

/// Why a manifest or one of the texts that it lists cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    #[error("the {what} is not the JSON it should be: {source}. Pull the model again.")]
    Json { what: &'static str, source: serde_json::Error },
    #[error(
        "the parameter {name} is {value}, where {expected} is needed. Correct it in the Modelfile (PARAMETER {name} ...) and make \
         the model anew with `ollama create`."
    )]
    Parameter { name: &'static str, value: String, expected: &'static str },
    #[error("{digest:?} is not a digest of the form sha256:<64 hex digits>. Pull the model again.")]
    Digest { digest: String },
}

/// Why a model cannot be had from the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("{}: {source}", path.display())]
    Manifest { path: PathBuf, source: ManifestError },
    #[error(
        "no Ollama store was found (tried {}). Install Ollama and pull a model, set OLLAMA_MODELS, \
         or give the path of a .gguf file.",
        list(tried)
    )]
    NoStore { tried: Vec<PathBuf> },
    #[error("{name} is not in the store at {}{}.{} Run `ollama pull {name}`.", root.display(), unseen(unreadable), hint(similar))]
    NotFound { name: String, root: PathBuf, similar: Vec<String>, unreadable: Vec<PathBuf> },
    #[error(
        "{}: no permission to read it. Ollama's service keeps its store under a user of its own: ask for read permission there \
         (often by the group `ollama`), or set OLLAMA_MODELS to a store of yours.",
        path.display()
    )]
    Denied { path: PathBuf },
    #[error("{}: is {what}, where a file of the store is expected. Remove it, and pull the model again.", path.display())]
    NotAFile { path: PathBuf, what: &'static str },
    #[error("{name}: the download is not complete ({digest} is missing). Run `ollama pull {name}`.")]
    Partial { name: String, digest: String },
    #[error("{name}: blob {digest} is missing from the store. Run `ollama pull {name}`.")]
    MissingBlob { name: String, digest: String },
    #[error(
        "{}: {actual} bytes, but the manifest says {expected}. Run `ollama pull` for it again.",
        path.display()
    )]
    BlobSize { path: PathBuf, expected: u64, actual: u64 },
    #[error(
        "{}: the content's SHA-256 is {actual}, not the one in its name: the file is damaged. \
         Delete it and run `ollama pull` again.", path.display()
    )]
    BlobDigest { path: PathBuf, actual: String },
    #[error(
        "{}: a layer of {size} bytes where text of at most {limit} is expected. Pull the model again.",
        path.display()
    )]
    TextTooLarge { path: PathBuf, size: u64, limit: u64 },
    #[error("{}: the text is not UTF-8. Pull the model again.", path.display())]
    NotUtf8 { path: PathBuf },
    #[error(
        "{name} is in MLX's safetensors form, not GGUF. Pull a tag without mlx, nvfp4 or mxfp8 in \
         its name."
    )]
    Safetensors { name: String },
    #[error("{name} runs on {host}, its weights are not on this machine. Pull a tag without cloud.")]
    Cloud { name: String, host: String },
    #[error("{name}: the manifest lists no model file. Pull the model again.")]
    NoModel { name: String },
    #[error("{}: {source}. Check the disk and the links of Ollama's store.", path.display())]
    Io { path: PathBuf, source: io::Error },
}

#[cfg(not(target_arch = "wasm32"))]
impl StoreError {
    /// A failure of the operating system at `path`.
    pub(super) fn io(path: &std::path::Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::PermissionDenied { Self::Denied { path } } else { Self::Io { path, source } }
    }
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    if paths.is_empty() { "no folder".to_owned() } else { paths.join(", ") }
}

fn unseen(paths: &[PathBuf]) -> String {
    if paths.is_empty() { String::new() } else { format!(", as far as it can be read ({} cannot)", list(paths)) }
}

fn hint(similar: &[String]) -> String {
    if similar.is_empty() { String::new() } else { format!(" It has {}.", similar.join(", ")) }
}
