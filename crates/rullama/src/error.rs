use crate::ErrorCode;
use rullama_gpu::GpuError;
use rullama_media::MediaError;
use rullama_model::ModelError;
use rullama_model::tower::Sense;
use rullama_source::SourceError;
use rullama_source::gguf::{GgufError, MetadataError};
use rullama_text::TokenizerError;

/// Everything that can go wrong, each with a message that ends in the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Gpu(#[from] GpuError),
    #[error(transparent)]
    Model(ModelError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error("{tokens} tokens do not fit the context of {context}. Shorten the conversation or load with a larger context")]
    ContextFull { tokens: u64, context: u32 },
    #[error("text {} has {tokens} tokens, more than the {context} that the model reads. Shorten it, give it in parts, or let it be cut", place + 1)]
    TextTooLong { place: usize, tokens: u64, context: u32 },
    #[error(
        "{name}: its weights take {need} bytes, more than the memory budget of {budget}, and neither per-layer rows nor experts are read over a network. Download the file first, or load it with resident per-layer embeddings, resident experts or a larger budget"
    )]
    RemoteBudget { name: String, need: u64, budget: u64 },
    #[error(
        "the memory budget of {budget} bytes has room for {places} experts of each layer, and a token goes to {used}. Give a budget of at least {need} bytes, load all experts (`resident`), or choose a smaller quantisation of the model"
    )]
    ExpertBudget { budget: u64, places: u32, used: u32, need: u64 },
    #[error("`{name}` is {value}, which {reason}")]
    InvalidArgument { name: &'static str, value: String, reason: String },
    #[error(
        "the model produced a value that is not a number, first in {place}. The file is damaged or the driver miscomputes: verify the file (`rullama show --verify`) and run `rullama doctor`"
    )]
    NotANumber { place: String },
    #[error("kernel `{kernel}` gives wrong results on this adapter: {message}. Update the graphics driver or choose another adapter")]
    SelfTest { kernel: String, message: String },
    #[error("the saved session cannot be restored: {reason}. Start a new one")]
    SavedSession { reason: String },
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error("{model} has no tower for {}. Give one of the same model with `--mmproj`, or choose a model that has it", sense)]
    NoTower { sense: Sense, model: String },
    #[error("cancelled")]
    Cancelled,
}

impl From<ModelError> for Error {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Gpu(error) => Error::Gpu(error),
            ModelError::Cancelled => Error::Cancelled,
            ModelError::SelfTest { kernel, message } => Error::SelfTest { kernel, message },
            other => Error::Model(other),
        }
    }
}

macro_rules! through_model {
    ($($kind:ty),*) => {
        $(impl From<$kind> for Error {
            fn from(error: $kind) -> Self {
                Error::Model(error.into())
            }
        })*
    };
}
through_model!(GgufError, MetadataError, SourceError);

impl Error {
    /// Whether the model makes embeddings, and was asked for something else.
    pub fn is_encoder(&self) -> bool {
        matches!(self, Error::Model(ModelError::IsEncoder { .. }))
    }

    /// Whether the file is one of several that make a model, and others of them are missing.
    pub fn is_part(&self) -> bool {
        matches!(self, Error::Model(ModelError::Gguf(GgufError::MissingParts { .. })))
    }

    /// A stable name for programs, shared with the TypeScript package.
    pub fn code(&self) -> &'static str {
        ErrorCode::from(self).name()
    }
}
