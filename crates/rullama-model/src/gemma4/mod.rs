//! Gemma 4: configuration, the weights it needs, and the text decoder.

mod config;
mod text;
mod unused;
mod weights;

pub use config::{Config, Layer, Span};
pub use text::{Rows, Shape, forward};
pub use weights::{Specs, rope_frequencies, specs};
