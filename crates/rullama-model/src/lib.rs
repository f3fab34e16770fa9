//! Models as graphs of operations, their weights, and the caches they fill.
//!
//! A [`model::Model`] writes the algebra of a step as a [`rullama_ops::Graph`]; [`lower`] makes of it what runs,
//! [`plan::Plan`] a recording, and [`reference::Reference`] runs it on the CPU.

pub mod arena;
pub mod attached;
mod beside;
pub mod drafter;
pub mod embedding_gemma;
pub mod encoder;
mod error;
pub mod experts;
pub mod gemma4;
pub mod kv_cache;
pub mod loaded;
mod loader;
pub mod lora;
pub mod lower;
pub mod lru;
pub mod model;
pub mod pace;
pub mod place;
pub mod plan;
pub mod products;
pub mod reference;
pub mod rows;
mod selftest;
mod step;
pub mod tower;
mod vectors;
pub mod weights;
pub mod words;

pub use error::ModelError;
pub use loaded::{Loaded, Stage};
