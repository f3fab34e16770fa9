/// Why a checkpoint cannot be written or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    #[error("{name} is no checkpoint: {reason}. Name another one, or start anew")]
    NotOne { name: String, reason: String },
    #[error("the checkpoint {name} is damaged: {reason}. Use the one before it, or start anew")]
    Damaged { name: String, reason: String },
    #[error("{}", other(.what, .saved, .given, .remedy))]
    Other { what: String, saved: String, given: String, remedy: &'static str },
    #[error("the training state holds a value that is no number, in {place}. Go on from the checkpoint before it, with a lower `lr`")]
    NotANumber { place: String },
    #[error("the checkpoint was written out of order: {0}. This is an error of rullama itself: report it")]
    Order(String),
    #[error("writing the checkpoint {name} failed: {source}. Check the free space and the permissions; the one before it is whole")]
    Io { name: String, source: std::io::Error },
    #[error("the checkpoint {name} cannot be read: {reason}. Check that it is still there")]
    Read { name: String, reason: String },
}

pub(crate) fn other(what: &str, saved: &str, given: &str, remedy: &str) -> String {
    format!("the checkpoint belongs to another {what}: it has {saved}, this training {given}. {remedy}")
}
