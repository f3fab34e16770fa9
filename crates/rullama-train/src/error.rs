use crate::checkpoint::CheckpointError;
use crate::data::DataError;
use crate::options::Activations;
use rullama_adapter::AdapterError;
use rullama_gpu::GpuError;
use rullama_model::ModelError;
use rullama_ops::GraphError;

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
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    #[error(
        "a step of {tokens} tokens takes {need} bytes of GPU memory: {weights} that are there already, weights above all, {trained} of the adapter and its optimiser, {activations} of the step's values; the budget is {budget}. Give a smaller max_len or rank, fewer targets or layers, {}or a larger memory budget",
        f16(.kept)
    )]
    Memory { tokens: u32, need: u64, weights: u64, trained: u64, activations: u64, budget: u64, kept: Activations },
    #[error(
        "a step of {tokens} tokens has a value of {bytes} bytes, more than the {most} that this adapter can bind. Give a smaller max_len"
    )]
    Value { tokens: u32, bytes: u64, most: u64 },
    #[error(
        "the model has {0} experts in a layer (a mixture of experts), which gradients do not flow through here. Choose a dense Gemma 4 file: E2B, E4B, 12B or 31B"
    )]
    Experts(u32),
    #[error("a row of {tokens} tokens is longer than the {most} that room was made for. Give a larger max_len")]
    TooLong { tokens: usize, most: u32 },
    #[error("{0}. This is a fault of rullama: report it with the model's name")]
    Internal(&'static str),
}

/// What helps where values are not kept in f16 yet.
fn f16(kept: &Activations) -> &'static str {
    if *kept == Activations::F32 { "activations f16, " } else { "" }
}

/// An option that training cannot go by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", option(.name, .value, .allowed))]
pub struct OptionError {
    pub name: &'static str,
    pub value: String,
    /// What it may be, as a sentence.
    pub allowed: String,
}

pub(crate) fn option(name: &str, value: &str, allowed: &str) -> String {
    format!("`{name}` is {value}; {allowed}")
}

impl OptionError {
    pub(crate) fn new(name: &'static str, value: impl ToString, allowed: impl Into<String>) -> Self {
        OptionError { name, value: value.to_string(), allowed: allowed.into() }
    }
}

impl From<GraphError> for TrainError {
    fn from(error: GraphError) -> Self {
        TrainError::Model(error.into())
    }
}

impl From<GpuError> for TrainError {
    fn from(error: GpuError) -> Self {
        TrainError::Model(error.into())
    }
}

impl TrainError {
    /// Whether the caller asked for the end.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, TrainError::Model(ModelError::Cancelled))
    }

    /// Whether the device is gone: the model must be loaded again.
    pub fn is_lost(&self) -> bool {
        let error = match self {
            TrainError::Model(ModelError::Gpu(error)) => error,
            TrainError::Model(ModelError::Node { source, .. }) => source,
            _ => return false,
        };
        matches!(error, GpuError::DeviceLost { .. } | GpuError::Timeout { .. })
    }
}
