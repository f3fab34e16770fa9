use crate::checkpoint::CheckpointError;
use crate::data::DataError;

/// Everything that can go wrong in training, each with a message that ends in the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    #[error(transparent)]
    Option(#[from] OptionError),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// An option that training cannot go by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is {value}; {allowed}")]
pub struct OptionError {
    pub name: &'static str,
    pub value: String,
    /// What it may be, as a sentence.
    pub allowed: String,
}

impl OptionError {
    pub(crate) fn new(name: &'static str, value: impl ToString, allowed: impl Into<String>) -> Self {
        OptionError { name, value: value.to_string(), allowed: allowed.into() }
    }
}
