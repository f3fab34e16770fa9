//! The graph of a training step.

use crate::TrainError;
use crate::blocks::in_blocks;
use crate::halves::kept_as_halves;
use crate::loss::{TILES, loss};
use crate::memory::Ground;
use rullama_model::lora::Terms;
use rullama_model::lower::prune;
use rullama_model::model::{Rows, Shape};
use rullama_ops::graph::Node;
use rullama_ops::{AddScale, Dropout, GeluMul, Graph, HeadNorm, JoinRows, KvType, RmsNorm, Rotate, SelfAttention, grad};

/// How the names of layers begin, before their numbers.
pub const LAYERS: &str = "blk.";

/// How much of the forward pass is kept for the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keep {
    /// Every value that a rule reads.
    All,
    /// What products and attention give; of the layers below this number only what goes on to the next. What is left out is computed
    /// again, the layers first whose turn comes last in the backward pass: the others' values are gone by then.
    Layers(u32),
    /// The same as halves: values are rounded where they are made, and attention is computed again with its softmax, which must fit the
    /// rounded queries and keys.
    Halves(u32),
}

impl Keep {
    /// Only what goes from layer to layer.
    pub const LEAST: Keep = Keep::Layers(u32::MAX);

    /// Whether what the node makes is computed again.
    fn leaves_out(self, place: &str, node: &Node) -> bool {
        let layer = place.strip_prefix(LAYERS).and_then(|number| number.parse::<u32>().ok());
        match (self, layer) {
            // Logits of all words never exist at once.
            (_, None) => place.starts_with(TILES),
            (Keep::All, Some(_)) => false,
            (Keep::Layers(again), Some(layer)) => layer < again || is_cheap(node),
            (Keep::Halves(again), Some(layer)) => layer < again || is_cheap(node) || node.is::<SelfAttention>().is_some(),
        }
    }
}

/// Whether a node takes about as long as reading what it makes.
fn is_cheap(node: &Node) -> bool {
    let norm = node.is::<RmsNorm>().is_some() || node.is::<HeadNorm>().is_some();
    let simple = node.is::<GeluMul>().is_some() || node.is::<AddScale>().is_some() || node.is::<Dropout>().is_some();
    norm || simple || node.is::<Rotate>().is_some() || node.is::<JoinRows>().is_some()
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
    let Ground { model, tables, slots, most, longest, .. } = *ground;
    let longest = longest.unwrap_or(shape);
    let experts = model.facts().experts;
    if experts > 0 {
        return Err(TrainError::Experts(experts));
    }
    // Nothing is cached, so that the type of caches says nothing.
    let (kv, packed, rows) = (KvType::F16, true, Rows::All);
    let step = Shape { tokens: shape.tokens, rows, decode: false, slots, taps: false, hidden: false, soft: false, packed, pool: 0, kv };
    // Nothing is left out when a model is judged.
    let terms = &terms.clone().with_dropout(if shape.train { terms.dropout } else { 0.0 });
    let mut graph = model.forward(step, tables, terms);
    let Some(x) = graph.named("final_norm") else { return Err(TrainError::Internal("a packed step without a last norm")) };
    graph.outputs.clear();
    let stats = loss(&mut graph, model, terms, x, (shape.targets, longest.targets, most));
    let graph = in_blocks(graph.checked()?, most, longest.tokens).checked()?;
    if !shape.train {
        return Ok(prune(graph));
    }
    // The rules of the loss take the statistics of all words where others take a gradient.
    let forward = graph.nodes.len();
    let graph = grad(graph, &[(stats, stats)], |place, node| keep.leaves_out(place, node))?;
    Ok(prune(if let Keep::Halves(_) = keep { kept_as_halves(graph, forward) } else { graph }))
}
