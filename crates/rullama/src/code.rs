//! Stable names of errors for programs: the one place that maps errors of every layer to them.

use crate::Error;
use rullama_adapter::AdapterError;
use rullama_gpu::GpuError;
use rullama_model::ModelError;
use rullama_source::SourceError;
use rullama_source::gguf::GgufError;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What kind of thing went wrong. An error has one code, whatever layer met it; the TypeScript
        /// package's `ERROR_CODES` are the same list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$variant),*];

            /// The name that does not change: `model-format`.
            pub fn name(self) -> &'static str {
                match self {
                    $(ErrorCode::$variant => $name,)*
                }
            }
        }
    };
}

codes! {
    /// The file is no model, or a damaged one.
    ModelFormat = "model-format",
    /// The file ends too early.
    ModelTruncated = "model-truncated",
    /// A model that rullama does not run.
    ModelUnsupported = "model-unsupported",
    /// The file lacks a part of the model.
    TensorMissing = "tensor-missing",
    /// No room in the GPU's memory or the host's.
    OutOfMemory = "out-of-memory",
    /// The device is gone, or no longer answers.
    DeviceLost = "device-lost",
    /// No adapter.
    NoWebgpu = "no-webgpu",
    /// The adapter's limits are too small for the model.
    Limits = "limits",
    /// The adapter is damaged, or of another model.
    Adapter = "adapter",
    /// Bytes could not be had.
    Network = "network",
    /// The file is no longer the one that was opened.
    SourceChanged = "source-changed",
    /// The caller said stop.
    Cancelled = "cancelled",
    /// The model computed a value that is no number.
    Nan = "nan",
    /// A caller's value cannot be used.
    InvalidArgument = "invalid-argument",
    /// The conversation is longer than the context.
    ContextFull = "context-full",
    /// The adapter computes wrong results.
    SelfTest = "self-test",
    /// The browser's private storage has no room, or is closed to the page.
    Quota = "quota",
    /// An error of rullama itself.
    Internal = "internal",
}

impl From<&Error> for ErrorCode {
    fn from(error: &Error) -> Self {
        match error {
            Error::Gpu(error) => error.into(),
            Error::Model(error) => error.into(),
            Error::Tokenizer(_) => ErrorCode::ModelFormat,
            Error::ContextFull { .. } | Error::TextTooLong { .. } => ErrorCode::ContextFull,
            Error::RemoteBudget { .. } | Error::ExpertBudget { .. } => ErrorCode::OutOfMemory,
            Error::InvalidArgument { .. } | Error::SavedSession { .. } => ErrorCode::InvalidArgument,
            Error::NotANumber { .. } => ErrorCode::Nan,
            Error::SelfTest { .. } => ErrorCode::SelfTest,
            Error::Media(_) => ErrorCode::InvalidArgument,
            Error::NoTower { .. } => ErrorCode::ModelUnsupported,
            Error::Cancelled => ErrorCode::Cancelled,
        }
    }
}

impl From<&GpuError> for ErrorCode {
    fn from(error: &GpuError) -> Self {
        match error {
            GpuError::NoAdapter { .. } => ErrorCode::NoWebgpu,
            GpuError::LimitTooSmall { .. } => ErrorCode::Limits,
            GpuError::OutOfMemory { .. } => ErrorCode::OutOfMemory,
            GpuError::DeviceLost { .. } | GpuError::Timeout { .. } => ErrorCode::DeviceLost,
            GpuError::Validation { .. } => ErrorCode::Internal,
        }
    }
}

impl From<&ModelError> for ErrorCode {
    fn from(error: &ModelError) -> Self {
        match error {
            ModelError::Gpu(error) => error.into(),
            ModelError::Source(error) => error.into(),
            ModelError::Gguf(error) => error.into(),
            ModelError::Adapter(AdapterError::Source(error)) => error.into(),
            ModelError::Adapter(_) => ErrorCode::Adapter,
            ModelError::IsEncoder { .. } | ModelError::NoEncoder { .. } => ErrorCode::ModelUnsupported,
            ModelError::IsDrafter | ModelError::NoDrafter { .. } | ModelError::OtherDrafter { .. } => ErrorCode::ModelUnsupported,
            ModelError::StepTooLong { .. } | ModelError::RowPlaces { .. } => ErrorCode::InvalidArgument,
            ModelError::Architecture { .. }
            | ModelError::RowLength { .. }
            | ModelError::Expert { .. }
            | ModelError::ExpertRows { .. }
            | ModelError::Unused { .. } => ErrorCode::ModelUnsupported,
            ModelError::MissingTensor { .. } => ErrorCode::TensorMissing,
            ModelError::Cancelled => ErrorCode::Cancelled,
            ModelError::SelfTest { .. } => ErrorCode::SelfTest,
            ModelError::Node { .. } | ModelError::Graph(_) => ErrorCode::Internal,
            _ => ErrorCode::ModelFormat,
        }
    }
}

impl From<&GgufError> for ErrorCode {
    fn from(error: &GgufError) -> Self {
        match error {
            GgufError::Source(error) => error.into(),
            GgufError::UnsupportedType { .. } => ErrorCode::ModelUnsupported,
            GgufError::MissingTensor { .. } => ErrorCode::TensorMissing,
            GgufError::HeaderTruncated { .. } | GgufError::Truncated { .. } | GgufError::MissingParts { .. } => ErrorCode::ModelTruncated,
            _ => ErrorCode::ModelFormat,
        }
    }
}

impl From<&SourceError> for ErrorCode {
    fn from(error: &SourceError) -> Self {
        match error {
            // A length was told when the source was opened, and holds no longer.
            SourceError::Changed { .. } | SourceError::ShortRead { .. } | SourceError::Arriving { changed: true, .. } => {
                ErrorCode::SourceChanged
            }
            SourceError::OutOfMemory { .. } => ErrorCode::OutOfMemory,
            SourceError::OutOfBounds { .. } => ErrorCode::ModelTruncated,
            SourceError::Address { .. } | SourceError::NotAFile { .. } => ErrorCode::InvalidArgument,
            SourceError::Foreign { .. } => ErrorCode::ModelFormat,
            _ => ErrorCode::Network,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short_read() -> SourceError {
        SourceError::ShortRead { name: "m".into(), offset: 0, expected: 2, got: 1 }
    }

    #[test]
    fn an_error_has_one_code_whatever_layer_met_it() {
        let changed = ErrorCode::SourceChanged;
        assert_eq!(ErrorCode::from(&short_read()), changed);
        assert_eq!(ErrorCode::from(&GgufError::Source(short_read())), changed);
        assert_eq!(ErrorCode::from(&ModelError::Source(short_read())), changed);
        assert_eq!(ErrorCode::from(&ModelError::Gguf(GgufError::Source(short_read()))), changed);
        assert_eq!(Error::from(short_read()).code(), "source-changed");
        assert_eq!(Error::from(GgufError::Source(short_read())).code(), "source-changed");
        let lost = || GpuError::DeviceLost { reason: String::new() };
        for error in [Error::Gpu(lost()), Error::Model(ModelError::Gpu(lost())), Error::from(ModelError::Gpu(lost()))] {
            assert_eq!(error.code(), "device-lost");
        }
        assert_eq!(Error::Model(ModelError::Cancelled).code(), Error::Cancelled.code());
        let missing = |error: ModelError| ErrorCode::from(&error);
        let gguf = GgufError::MissingTensor { tensor: "t".into() };
        assert_eq!(missing(gguf.into()), missing(ModelError::MissingTensor { name: "t".into() }));
    }

    #[test]
    fn names_differ() {
        let mut names: Vec<_> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorCode::ALL.len());
    }
}
