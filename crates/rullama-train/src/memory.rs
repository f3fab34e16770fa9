//! What training takes of the GPU, before anything is allocated.

use crate::device::{PLANS, shapes, word_sizes};
use crate::graph::{self, Keep, StepShape};
use crate::options::Activations;
use crate::terms::PREFIX;
use crate::trainer::Base;
use crate::{TrainError, TrainOptions, init, optimizer};
use rullama_adapter::Adapter;
use rullama_gpu::Caps;
use rullama_model::Loaded;
use rullama_model::arena::Layout;
use rullama_model::lora::{Terms, terms_of};
use rullama_model::lower::{For, lower};
use rullama_model::model::Model;
use rullama_model::place::place;
use rullama_model::weights::Table;
use rullama_ops::{Graph, Kind, Number, Type};
use std::collections::{BTreeMap, HashSet};

/// A model that steps are reckoned for, on a device or before it is there.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    pub model: &'a dyn Model,
    pub tables: &'a [Table],
    /// Rows that have a place on the GPU, of the table whose rows may be streamed; 0: all are there.
    pub slots: u32,
    /// Bytes on the GPU already, or to be there: weights above all.
    pub weights: u64,
    pub caps: &'a Caps,
    /// Bytes that a value may have: what the adapter binds, or less.
    pub most: u64,
    /// The longest step, as which shorter ones are cut, so that they have room where it has its own; `None`: the step itself.
    pub longest: Option<StepShape>,
}

impl<'a> From<&'a Loaded> for Ground<'a> {
    fn from(loaded: &'a Loaded) -> Self {
        let (model, tables, device) = (&*loaded.model, &loaded.tables[..], &loaded.device);
        let (slots, weights, caps) = (loaded.row_slots(), device.allocated(), device.caps());
        Ground { model, tables, slots, weights, caps, most: caps.max_binding, longest: None }
    }
}

/// GPU memory of training, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Estimate {
    /// What is there already: weights, and what conversations take.
    pub weights: u64,
    /// Matrices, gradients and the optimizer's two means.
    pub trained: u64,
    /// Values of a step, and what is written and read around it.
    pub activations: u64,
    /// The largest of them.
    pub largest: u64,
}

impl Estimate {
    pub fn total(&self) -> u64 {
        self.weights + self.trained + self.activations
    }
}

/// What the memory of a step of this shape comes to.
///
/// # Errors
/// An operation that cannot be trained through.
pub fn estimate(ground: &Ground, terms: &Terms, shape: StepShape, keep: Keep) -> Result<Estimate, TrainError> {
    let graph = lower(graph::step(ground, terms, shape, keep)?, For::Look, ground.model.specs());
    let slots = place(&graph).slots;
    let largest = slots.iter().copied().max().unwrap_or(0);
    let layout = Layout::new(shapes(terms), ground.caps.offset_alignment, ground.caps.max_binding);
    let activations = slots.iter().sum::<u64>()
        + inputs(&graph)
        + scratch(&graph, ground.caps)
        + parameters(&graph, ground.caps)
        + words(shape)
        + optimizer::bytes(layout.flats());
    Ok(Estimate { weights: ground.weights, trained: 4 * layout.bytes(), activations, largest })
}

/// Bytes of what the host writes beside words.
fn inputs(graph: &Graph) -> u64 {
    let mut inputs = BTreeMap::new();
    for base in graph.nodes.iter().flat_map(|node| node.inputs()).map(|value| graph.base(value)) {
        if let Kind::Input(name) = graph.info(base).kind {
            inputs.insert(name, graph.of(base).bytes());
        }
    }
    inputs.values().sum()
}

/// Bytes of the parameters of the recordings that are kept: an operation has at most three dispatches for two on the whole.
fn parameters(graph: &Graph, caps: &Caps) -> u64 {
    (PLANS * graph.nodes.len() * 3 / 2) as u64 * caps.offset_alignment.max(128)
}

/// Most tokens of a step whose products share their sums out.
const SHARING: u32 = 4096;

/// Bytes of scratch that a step takes, or one of fewer tokens: those may take more.
pub(crate) fn scratch(graph: &Graph, caps: &Caps) -> u64 {
    let (mut seen, mut most) = (HashSet::new(), 0);
    for node in &graph.nodes {
        let types: Vec<Type> = node.inputs().map(|value| graph.of(value)).collect();
        let Some(rows) = types.first().map(|first| first.rows).filter(|_| seen.insert((format!("{:?}", node.op), types.clone()))) else {
            continue;
        };
        most = node.op.scratch_for(&types, caps).max(most);
        for fewer in (1..).map(|n| 32 * n).take_while(|fewer| *fewer < rows.min(SHARING)) {
            let of = |of: &Type| if of.number == Number::F32 && of.rows == rows { Type { rows: fewer, ..*of } } else { *of };
            most = node.op.scratch_for(&types.iter().map(of).collect::<Vec<Type>>(), caps).max(most);
        }
    }
    most
}

/// Bytes of a step's words, and of what waits for its parts and reads its losses.
fn words(shape: StepShape) -> u64 {
    word_sizes(shape).iter().map(|(_, words)| 4 * *words as u64 + 256).sum::<u64>() + 16 * u64::from(shape.targets) + (1 << 16)
}

/// What steps of these lengths would take, every token of them learnt: all kept, and layers computed again.
///
/// # Errors
/// An operation that cannot be trained through; no chosen layer in the model.
pub fn forecast(ground: &Ground, options: &TrainOptions, lengths: &[u32]) -> Result<Vec<[Estimate; 2]>, TrainError> {
    let terms = terms_of_options(ground, options)?;
    let of = |tokens: &u32| {
        let shape = StepShape { tokens: *tokens, targets: *tokens, train: true };
        Ok([estimate(ground, &terms, shape, Keep::All)?, estimate(ground, &terms, shape, Keep::LEAST)?])
    };
    lengths.iter().map(of).collect()
}

/// The terms of a new adapter, as a step has them.
///
/// # Errors
/// No chosen layer in the model.
pub fn terms_of_options(ground: &Ground, options: &TrainOptions) -> Result<Terms, TrainError> {
    Ok(terms(&init::adapter(ground.model, options, "")?, options.dropout as f32))
}

/// An adapter's terms, as a step has them.
pub fn terms(adapter: &Adapter, dropout: f32) -> Terms {
    let mut terms = Terms::default().with_dropout(dropout);
    terms_of(adapter, PREFIX, 1.0).for_each(|(target, term)| terms.add(target.gguf_name(), term));
    terms
}

/// How much of a step to keep: as much as fits the budget. With the memory that this takes, and whether it fits.
///
/// # Errors
/// An operation that cannot be trained through.
pub fn least(base: &Base, terms: &Terms, shape: StepShape, activations: Activations) -> Result<(Keep, Estimate, bool), TrainError> {
    most_kept(&Ground::from(&*base.loaded), terms, shape, activations, base.memory)
}

/// The same before the model is loaded.
///
/// # Errors
/// An operation that cannot be trained through.
pub fn most_kept(
    ground: &Ground,
    terms: &Terms,
    shape: StepShape,
    activations: Activations,
    budget: u64,
) -> Result<(Keep, Estimate, bool), TrainError> {
    let fits = |found: &Estimate| found.total() <= budget && found.largest <= ground.most;
    let of = |keep| estimate(ground, terms, shape, keep).map(|found| (keep, found, fits(&found)));
    let layers = if activations == Activations::F16 { Keep::Halves } else { Keep::Layers };
    if activations == Activations::F32 {
        let all = of(Keep::All)?;
        if all.2 {
            return Ok(all);
        }
    }
    // Layers that are computed again: fewer than `few` are too few, `many` are enough if any number is.
    let (mut few, mut many) = (0, ground.model.facts().layers as u32);
    let mut enough = of(layers(many))?;
    while enough.2 && few < many {
        let half = (few + many) / 2;
        let found = of(layers(half))?;
        if found.2 {
            (many, enough) = (half, found);
        } else {
            few = half + 1;
        }
    }
    Ok(enough)
}

/// Whether a table that may be streamed is better left in its file: where fewer layers are computed again then.
///
/// # Errors
/// As [`most_kept`].
pub fn better_streamed(
    resident: &Ground,
    streamed: &Ground,
    terms: &Terms,
    shape: StepShape,
    activations: Activations,
    budget: u64,
) -> Result<bool, TrainError> {
    let again = |ground: &Ground| {
        let (keep, _, fits) = most_kept(ground, terms, shape, activations, budget)?;
        Ok::<u32, TrainError>(match keep {
            _ if !fits => u32::MAX,
            Keep::All => 0,
            Keep::Layers(again) | Keep::Halves(again) => again,
        })
    };
    let resident = again(resident)?;
    Ok(resident > 0 && resident > again(streamed)?)
}

/// How much of a step to keep, as [`least`] has it.
///
/// # Errors
/// [`TrainError::Memory`] where not even that fits, with what to change.
pub fn choose(base: &Base, terms: &Terms, shape: StepShape, kept: Activations) -> Result<Keep, TrainError> {
    let (keep, Estimate { weights, trained, activations, largest }, fits) = least(base, terms, shape, kept)?;
    if fits {
        return Ok(keep);
    }
    let most = base.loaded.device.caps().max_binding;
    if largest > most {
        return Err(TrainError::Value { tokens: shape.tokens, bytes: largest, most });
    }
    Err(TrainError::Memory {
        tokens: shape.tokens,
        need: weights + trained + activations,
        weights,
        trained,
        activations,
        budget: base.memory,
        kept,
    })
}
