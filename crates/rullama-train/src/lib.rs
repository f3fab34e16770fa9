//! LoRA training over quantised weights.
//!
//! - [`data`]: files of examples to token ids with a mask of what is trained; order, split and packing.
//! - [`TrainOptions`]: what is trained and how, checked by name.
//! - [`Schedule`] and [`AdamW`]: rates and the optimiser, with a reference in f64.
//! - [`checkpoint`]: a training state as a file that is whole or refused.

pub mod adamw;
pub mod checkpoint;
pub mod data;
mod error;
pub mod options;
pub mod random;
pub mod schedule;

pub use adamw::{AdamW, AdamWReference};
pub use error::{OptionError, TrainError};
pub use options::{Module, TrainOptions};
pub use schedule::{Schedule, ScheduleKind};
