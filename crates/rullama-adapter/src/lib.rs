//! LoRA adapters as files: PEFT's folders, GGUF adapters and the safetensors of rullama 0.4 and 0.5.
//!
//! An [`Adapter`] is a set of [`Pair`]s by [`Target`], the linear layer that each belongs to; its scales are resolved, so that
//! whoever computes with it needs no configuration: `y += scale * B (A x)`.
//!
//! What is read may be hostile: sizes are checked against the bytes that are there before anything is allocated, values are
//! finite, and errors name the file, the tensor or key, and the remedy.

mod adapter;
mod blob;
mod earlier;
mod error;
#[cfg(not(target_arch = "wasm32"))]
pub mod files;
pub mod gguf;
mod halves;
mod names;
pub mod peft;
mod read;
mod safetensors;
mod target;
mod values;

pub use adapter::{Adapter, Form, Info, MAX_RANK, MAX_VALUES, Pair};
pub use blob::{Blob, Precision};
pub use error::AdapterError;
pub use names::UnknownModule;
pub use read::read;
pub use target::{MAX_LAYERS, Module, Target};
