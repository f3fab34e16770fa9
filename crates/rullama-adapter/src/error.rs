//! Why an adapter cannot be read, used or written.

use crate::Target;
use rullama_source::{
    SourceError,
    gguf::{GgufError, write::WriteError},
};

/// Names the file and the tensor or key, and ends in the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What the file's header says is not right.
    #[error("{file}: {reason}")]
    Gguf { file: String, reason: Box<GgufError> },
    #[error(transparent)]
    Write(Box<WriteError>),
    /// What was given is something else than an adapter.
    #[error("{file}: {what}, not a LoRA adapter. {remedy}")]
    NotAnAdapter { file: String, what: String, remedy: &'static str },
    /// One of the two files of PEFT's form is not there.
    #[error("{file}: {missing} is missing. PEFT's form is adapter_config.json and adapter_model.safetensors together: give both.")]
    Incomplete { file: String, missing: &'static str },
    /// The header of a safetensors file is not right.
    #[error("{file}: the safetensors header is not right: {reason}. Save the adapter again, or download it again.")]
    Header { file: String, reason: String },
    /// A key of the configuration or the metadata.
    #[error("{file}: {key} is {problem}. {remedy}")]
    Key { file: String, key: String, problem: String, remedy: &'static str },
    /// Something that changes what the model computes and is not done here.
    #[error("{file}: {what} cannot be applied here. {remedy}")]
    Unsupported { file: String, what: String, remedy: &'static str },
    /// A tensor of the file.
    #[error("{file}: tensor {tensor}: {problem}. {remedy}")]
    Tensor { file: String, tensor: String, problem: String, remedy: &'static str },
    /// More than is read.
    #[error("{file}: {what}: {value} is more than {limit}. Give the adapter that was meant, or train one of a lower rank.")]
    TooLarge { file: String, what: &'static str, value: u64, limit: u64 },
    /// The model has no such linear layer, or one of another size.
    #[error(
        "adapter {adapter} is for another model: {target} ({gguf}) {problem}. Take the model that it was trained on, or an adapter for this one.",
        gguf = target.gguf_name()
    )]
    OtherModel { adapter: String, target: Target, problem: String },
    /// A form that cannot hold what the adapter has.
    #[error("adapter {adapter}: {what}. {remedy}")]
    Form { adapter: String, what: String, remedy: &'static str },
}

impl AdapterError {
    /// An error of the header of `file`.
    pub(crate) fn header(file: &str, error: GgufError) -> Self {
        match error {
            GgufError::Source(error) => Self::Source(error),
            error => Self::Gguf { file: file.to_owned(), reason: Box::new(error) },
        }
    }
}

impl From<WriteError> for AdapterError {
    fn from(error: WriteError) -> Self {
        Self::Write(Box::new(error))
    }
}
