//! Files of examples to token ids, with a mask of what is trained.

mod error;
mod example;
pub mod pack;
pub mod split;

pub use error::DataError;
pub use example::{Counts, Dataset, Example, LineReport, LossOn, Status};
pub use pack::{Packed, Row};
pub use split::{Split, epoch_order, split};
