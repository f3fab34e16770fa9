//! Reading, whatever the form: files are told apart by their content.

use crate::safetensors::Tensors;
use crate::{Adapter, AdapterError, earlier, gguf, peft};
use rullama_source::ByteSource;
use rullama_source::foreign::{HEAD, foreign};
use std::sync::Arc;

const GIVE: &str = "Give a PEFT folder, a GGUF adapter or an adapter of rullama 0.4 or 0.5.";

/// What a file is by its first bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gguf,
    Json,
    Safetensors,
}

/// Reads an adapter from its files, in any order: a GGUF file, a safetensors file of rullama 0.4 or 0.5, or PEFT's two.
///
/// # Errors
/// What is wrong with them; with the file, the tensor or key, and the remedy.
pub async fn read(sources: &[Arc<dyn ByteSource>]) -> Result<Adapter, AdapterError> {
    let (mut config, mut files) = (None, Vec::new());
    for source in sources {
        match kind(&**source).await? {
            Kind::Json if config.is_some() => return Err(several(&**source, "a second configuration")),
            Kind::Json => config = Some(&**source),
            kind => files.push((&**source, kind)),
        }
    }
    let adapter = match (files[..].first(), config) {
        _ if files.len() > 1 => return Err(several(files[1].0, "a second file of matrices")),
        (Some((source, Kind::Gguf)), None) => gguf::read(*source, title(source.name())).await?,
        (Some((source, Kind::Gguf)), Some(_)) => return Err(several(*source, "a GGUF adapter beside PEFT's configuration")),
        (Some((source, _)), config) => safetensors(*source, config).await?,
        (None, Some(config)) => {
            return Err(AdapterError::Incomplete { file: config.name().to_owned(), missing: peft::MODEL });
        }
        (None, None) => {
            let (file, what) = ("no file".to_owned(), "nothing was given".to_owned());
            return Err(AdapterError::NotAnAdapter { file, what, remedy: GIVE });
        }
    };
    if adapter.pairs.is_empty() {
        let what = match adapter.info.left_out.first() {
            Some(tensor) => format!("it holds nothing for the language model, but {tensor}"),
            None => "it holds no tensor".to_owned(),
        };
        return Err(AdapterError::NotAnAdapter { file: files[0].0.name().to_owned(), what, remedy: GIVE });
    }
    Ok(adapter)
}

async fn safetensors(source: &dyn ByteSource, config: Option<&dyn ByteSource>) -> Result<Adapter, AdapterError> {
    let tensors = Tensors::open(source).await?;
    let names = tensors.names();
    if names.iter().any(|name| name.starts_with(earlier::PREFIX)) {
        return earlier::read(&tensors, title(source.name())).await;
    }
    if !names.iter().any(|name| name.contains("lora_")) {
        let (file, what) = (source.name().to_owned(), "a safetensors file without matrices of an adapter".to_owned());
        return Err(AdapterError::NotAnAdapter { file, what, remedy: GIVE });
    }
    let missing = || AdapterError::Incomplete { file: source.name().to_owned(), missing: peft::CONFIG };
    peft::read(config.ok_or_else(missing)?, &tensors, title(source.name())).await
}

fn several(source: &dyn ByteSource, what: &str) -> AdapterError {
    let remedy = "Give the files of one adapter, in one form.";
    AdapterError::NotAnAdapter { file: source.name().to_owned(), what: format!("{what} was given"), remedy }
}

async fn kind(source: &dyn ByteSource) -> Result<Kind, AdapterError> {
    let head = source.read(0, source.len().min(HEAD as u64) as usize).await?;
    if head.starts_with(b"GGUF") {
        return Ok(Kind::Gguf);
    }
    let not = |what: &str, remedy| AdapterError::NotAnAdapter { file: source.name().to_owned(), what: what.to_owned(), remedy };
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head).trim_ascii_start();
    // The length of a header may begin with the byte of a brace, but ends in zeros, which no text has.
    if text.starts_with(b"{") && !head.iter().take(8).any(|byte| *byte == 0) {
        return Ok(Kind::Json);
    }
    // The size of the header is its own to judge.
    if head.len() > 8 && head[8] == b'{' {
        return Ok(Kind::Safetensors);
    }
    match foreign(&head, source.len()) {
        Some(found) if found.what.contains("pickle") || found.what.contains("ZIP") => {
            Err(not(found.what, "Save the adapter as safetensors (PEFT's `save_pretrained` with `safe_serialization=True`)."))
        }
        Some(found) => Err(not(found.what, GIVE)),
        None if head.is_empty() => Err(not("an empty file", GIVE)),
        None => Err(not("a file of no known form", GIVE)),
    }
}

/// A name for people from a path or an address: the file's without its ending; of PEFT's files, their folder's.
fn title(path: &str) -> String {
    let mut parts = path.rsplit(['/', '\\']).filter(|part| !matches!(*part, "" | "." | ".."));
    let file = parts.next().unwrap_or("adapter");
    if file == peft::MODEL {
        return parts.next().unwrap_or("adapter").to_owned();
    }
    file.rsplit_once('.').map_or(file, |(stem, _)| if stem.is_empty() { file } else { stem }).to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn titles() {
        for (path, title) in [
            ("a/b/adapter_model.safetensors", "b"),
            ("adapter_model.safetensors", "adapter"),
            ("./mine.gguf", "mine"),
            ("https://h/x/mine.v2.gguf", "mine.v2"),
            ("C:\\x\\.gguf", ".gguf"),
            ("plain", "plain"),
        ] {
            assert_eq!(super::title(path), title);
        }
    }
}
