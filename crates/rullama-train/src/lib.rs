//! LoRA training over quantised weights.
//!
//! ```no_run
//! use rullama::{Engine, LoadOptions, source::FileSource};
//! use rullama_train::data::{DataOptions, read_str};
//! use rullama_train::{Base, Data, TrainOptions, Trainer};
//! use std::sync::Arc;
//!
//! # async fn example(lines: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::load(Arc::new(FileSource::open("gemma-4-e2b.gguf")?), LoadOptions::default(), &mut |_| ()).await?;
//! let options = TrainOptions { rank: 8, ..TrainOptions::default() };
//! let train = read_str(lines, engine.tokenizer(), DataOptions::new(&options, engine.template_size()))?;
//! let base = Base { loaded: engine.loaded().clone(), name: engine.info().name.clone(), memory: 8 << 30 };
//! let mut trainer = Trainer::new(base, Data { train, eval: None }, options).await?;
//! while let Some(step) = trainer.step(&|| false).await? {
//!     println!("{} of {}: loss {:.3}", step.step, step.steps, step.loss);
//! }
//! let mut session = engine.session().await?;
//! session.set_adapters(&[(engine.adapter(&trainer.adapter().await?).await?, 1.0)])?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`data`]: files of examples to token ids with a mask of what is trained; order, split and packing.
//! - [`TrainOptions`]: what is trained and how, checked by name.
//! - [`Trainer`]: the loop; a [`Step`] is an update.
//! - [`graph`] and [`loss`]: a step, forward and backward; [`OnDevice`] runs it, and holds what is trained.
//! - [`Schedule`] and [`AdamW`]: rates and the optimiser, with a reference in f64.
//! - [`checkpoint`]: a training state as a file that is whole or refused.

pub mod adamw;
mod blocks;
pub mod checkpoint;
pub mod data;
pub mod device;
mod error;
#[cfg(feature = "cases")]
pub mod golden;
pub mod graph;
mod halves;
mod init;
pub mod loss;
pub mod memory;
mod optimizer;
pub mod options;
mod planned;
pub mod random;
#[cfg(feature = "files")]
pub mod recovery;
pub mod schedule;
pub mod terms;
mod told;
pub mod trainer;

pub use adamw::{AdamW, AdamWReference};
pub use device::OnDevice;
pub use error::{OptionError, TrainError};
pub use options::TrainOptions;
pub use planned::Needs;
pub use rullama_adapter::Module;
pub use schedule::{Schedule, ScheduleKind};
pub use trainer::{Base, Data, Ended, Step, Trainer};
