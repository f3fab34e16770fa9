//! The manifest of a model and the config blob that it names.

use std::fmt;

use serde::{Deserialize, de::DeserializeOwned};

use super::error::ManifestError;

/// Reads JSON, with or without a byte order mark.
pub(super) fn json<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, ManifestError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(bytes).map_err(|source| ManifestError::Json { what, source })
}

/// SHA-256 of a blob, as 64 lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Digest(String);

impl Digest {
    /// Reads `sha256:<hex>` or `sha256-<hex>`.
    ///
    /// # Errors
    /// [`ManifestError::Digest`].
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let hex = text.strip_prefix("sha256:").or_else(|| text.strip_prefix("sha256-"));
        match hex {
            Some(hex) if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()) => Ok(Self(hex.to_ascii_lowercase())),
            _ => Err(ManifestError::Digest { digest: text.to_owned() }),
        }
    }

    /// The 64 hex digits.
    pub fn hex(&self) -> &str {
        &self.0
    }

    /// Name of the blob's file.
    pub fn file_name(&self) -> String {
        format!("sha256-{}", self.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = ManifestError;

    fn try_from(text: String) -> Result<Self, ManifestError> {
        Self::parse(&text)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

/// What a layer holds, from its media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// The GGUF file.
    Model,
    /// A GGUF file with the vision or audio tower.
    Projector,
    /// A LoRA in GGUF form.
    Adapter,
    /// Prompt template in Go's text/template.
    Template,
    /// System prompt.
    System,
    /// Sampling parameters as JSON.
    Params,
    /// First messages of every conversation as JSON.
    Messages,
    License,
    /// A draft model for speculative decoding, in GGUF form.
    Draft,
    /// One tensor of a safetensors model.
    Tensor,
    /// Anything else.
    Other,
}

/// One entry of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Layer {
    pub media_type: String,
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

impl Layer {
    /// What the layer holds.
    pub fn kind(&self) -> LayerKind {
        match self.media_type.strip_prefix("application/vnd.ollama.image.").unwrap_or_default() {
            "model" => LayerKind::Model,
            "projector" => LayerKind::Projector,
            "adapter" => LayerKind::Adapter,
            "template" | "prompt" => LayerKind::Template,
            "system" => LayerKind::System,
            "params" => LayerKind::Params,
            "messages" => LayerKind::Messages,
            "license" => LayerKind::License,
            "draft" => LayerKind::Draft,
            "tensor" => LayerKind::Tensor,
            _ => LayerKind::Other,
        }
    }
}

/// The list of a model's blobs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Manifest {
    pub config: Layer,
    #[serde(default)]
    pub layers: Vec<Layer>,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ManifestError::Json`], also for a bad digest.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        json("manifest", bytes)
    }

    /// The layers of one kind, in order.
    pub fn layers_of(&self, kind: LayerKind) -> impl Iterator<Item = &Layer> {
        self.layers.iter().filter(move |layer| layer.kind() == kind)
    }

    /// Bytes of all blobs.
    pub fn size(&self) -> u64 {
        self.layers.iter().fold(self.config.size, |sum, layer| sum.saturating_add(layer.size))
    }
}

/// The config blob; the GGUF file is the authority on the model itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// `gguf` or `safetensors`.
    pub model_format: Option<String>,
    pub model_family: Option<String>,
    /// Parameter count in words, such as `5.1B`.
    pub model_type: Option<String>,
    /// Quantisation in words, such as `Q4_K_M`.
    pub file_type: Option<String>,
    /// Prompt renderer: `gemma4-small`, `gemma4-large`, ...
    pub renderer: Option<String>,
    /// Output parser: `gemma4`, ...
    pub parser: Option<String>,
    /// Set for models that run elsewhere.
    pub remote_host: Option<String>,
    pub remote_model: Option<String>,
}

impl Config {
    /// Reads a config blob.
    ///
    /// # Errors
    /// [`ManifestError::Json`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        json("config", bytes)
    }
}
