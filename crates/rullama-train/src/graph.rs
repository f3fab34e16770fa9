//! The graph of a training step.

use crate::TrainError;
use crate::loss::{TILES, loss};
use crate::memory::Ground;
use rullama_model::lora::Terms;
use rullama_model::lower::prune;
use rullama_model::model::{Rows, Shape};
use rullama_ops::{Graph, KvType, grad};

/// How much of the forward pass is kept for the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keep {
    /// Every value that a rule reads.
    All,
    /// What goes from layer to layer; each layer is computed again.
    Layers,
}

/// What a step looks like; graphs are built once for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StepShape {
    pub tokens: u32,
    /// Rows that predict something.
    pub targets: u32,
    /// Whether gradients are wanted.
    pub train: bool,
}

/// A packed step, its loss (output `loss`) and, to train, what adds to the gradients of the terms.
///
/// # Errors
/// An operation that cannot be trained through, experts first of all.
pub fn step(ground: &Ground, terms: &Terms, shape: StepShape, keep: Keep) -> Result<Graph, TrainError> {
    let Ground { model, tables, slots, .. } = *ground;
    let experts = model.facts().experts;
    if experts > 0 {
        return Err(TrainError::Experts(experts));
    }
    // Nothing is cached, so that the type of caches says nothing.
    let (kv, packed, rows) = (KvType::F16, true, Rows::All);
    let step = Shape { tokens: shape.tokens, rows, decode: false, slots, taps: false, soft: false, packed, pool: 0, kv };
    // Nothing is left out when a model is judged.
    let terms = &terms.clone().with_dropout(if shape.train { terms.dropout } else { 0.0 });
    let mut graph = model.forward(step, tables, terms);
    let Some(x) = graph.named("final_norm") else { return Err(TrainError::Internal("a packed step without a last norm")) };
    graph.outputs.clear();
    let stats = loss(&mut graph, model, terms, x, shape.targets);
    let graph = graph.checked()?;
    if !shape.train {
        return Ok(prune(graph));
    }
    // The rules of the loss take the statistics of all words where others take a gradient.
    let again = |place: &str| place.starts_with(TILES) || (keep == Keep::Layers && place.starts_with("blk."));
    Ok(prune(grad(graph, &[(stats, stats)], again)?))
}
