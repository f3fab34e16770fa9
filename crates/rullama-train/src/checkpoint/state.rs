use crate::{Module, TrainOptions};
use serde::{Deserialize, Serialize};

/// An adapter's place and shape: A [rank, input], B [output, rank].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetShape {
    pub module: Module,
    /// None for a module that the layers share.
    pub layer: Option<u32>,
    pub rank: u32,
    pub input: u32,
    pub output: u32,
}

/// What a state belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// SHA-256 of the model, as hexadecimal digits, and a name for people.
    pub model: String,
    pub model_name: String,
    /// SHA-256 of the examples, as hexadecimal digits, and their number.
    pub data: String,
    pub examples: u64,
    pub options: TrainOptions,
}

/// Where in the data training stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// From 0.
    pub epoch: u32,
    /// The next row of it.
    pub row: u64,
    /// Rows so far over all epochs, by which dropout draws.
    pub rows: u64,
}

/// The best evaluation so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    pub loss: f64,
    pub update: u64,
    /// Evaluations since then.
    pub waited: u32,
}

/// Everything but the values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub identity: Identity,
    pub targets: Vec<TargetShape>,
    /// Updates done.
    pub updates: u64,
    /// Updates of the whole training, by which the schedule goes.
    pub total_updates: u64,
    pub position: Position,
    /// With values of its own at the end of the file.
    pub best: Option<Best>,
    /// The update whose matrices training goes back to after divergence, where nothing is evaluated; with values of its own, too.
    #[serde(default)]
    pub calm: Option<u64>,
    /// Updates skipped in a row, by which divergence is told as well.
    #[serde(default)]
    pub skipped: u32,
    /// Running mean of the loss, and its lowest, by which divergence is told.
    pub mean: Option<(f64, f64)>,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Trained tokens so far.
    pub tokens: u64,
    /// The evaluation that follows the last update is still to be done.
    #[serde(default)]
    pub unjudged: bool,
}
