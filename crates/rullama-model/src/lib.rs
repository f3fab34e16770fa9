//! Models as graphs of operations, their weights, and the caches they fill.
//!
//! [`gemma4::forward`] builds the decoder's [`graph::Graph`] for a step's shape;
//! [`plan::Plan`] turns it into a recording, [`reference::Reference`] runs it on the CPU.

mod error;
pub mod gemma4;
pub mod graph;
pub mod kv_cache;
pub mod per_layer;
pub mod plan;
pub mod reference;
pub mod weights;

pub use error::ModelError;
