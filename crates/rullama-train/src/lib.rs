//! LoRA training over quantised weights.
//!
//! - [`data`]: files of examples to token ids with a mask of what is trained; order, split and packing.
//! - [`TrainOptions`]: what is trained and how, checked by name.
//! - [`Schedule`] and [`AdamW`]: rates and the optimiser, with a reference in f64.
//! - [`checkpoint`]: a training state as a file that is whole or refused.
//! - [`graph`] and [`loss`]: a step, forward and backward; [`OnDevice`] runs it, and holds what is trained.

pub mod adamw;
pub mod checkpoint;
pub mod data;
pub mod device;
mod error;
pub mod graph;
mod init;
pub mod loss;
mod memory;
mod optimizer;
pub mod options;
pub mod random;
pub mod schedule;
pub mod terms;
pub mod trainer;

pub use adamw::{AdamW, AdamWReference};
pub use device::OnDevice;
pub use error::{OptionError, TrainError};
pub use options::TrainOptions;
pub use rullama_adapter::Module;
pub use schedule::{Schedule, ScheduleKind};
pub use trainer::{Base, Data, Ended, Step, Trainer};
