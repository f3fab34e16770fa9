//! What training takes of the GPU, before anything is allocated.

use crate::device::shapes;
use crate::graph::{self, Keep, StepShape};
use crate::terms::PREFIX;
use crate::trainer::Base;
use crate::{TrainError, TrainOptions, init};
use rullama_adapter::Adapter;
use rullama_gpu::Caps;
use rullama_model::Loaded;
use rullama_model::arena::Layout;
use rullama_model::lora::{Terms, terms_of};
use rullama_model::lower::{For, lower};
use rullama_model::model::Model;
use rullama_model::place::place;
use rullama_model::weights::Table;

/// A model that steps are reckoned for, on a device or before it is there.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    pub model: &'a dyn Model,
    pub tables: &'a [Table],
    /// Rows that have a place on the GPU, of the table whose rows may be streamed; 0: all are there.
    pub slots: u32,
    /// Bytes of weights on the GPU, such rows among them.
    pub weights: u64,
    pub caps: &'a Caps,
}

impl<'a> From<&'a Loaded> for Ground<'a> {
    fn from(loaded: &'a Loaded) -> Self {
        let (model, tables, caps) = (&*loaded.model, &loaded.tables[..], loaded.device.caps());
        Ground { model, tables, slots: loaded.row_slots(), weights: loaded.loaded_bytes + loaded.row_bytes(), caps }
    }
}

/// GPU memory of training, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Estimate {
    /// Weights that are there already.
    pub weights: u64,
    /// Matrices, gradients and the optimizer's two means.
    pub trained: u64,
    /// Values of a step.
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
    let (activations, largest) = (slots.iter().sum(), slots.iter().copied().max().unwrap_or(0));
    let trained = 4 * Layout::new(shapes(terms), ground.caps.offset_alignment, ground.caps.max_binding).bytes();
    Ok(Estimate { weights: ground.weights, trained, activations, largest })
}

/// What steps of these lengths would take, every token of them learnt: all kept, and layers computed again.
///
/// # Errors
/// An operation that cannot be trained through; no chosen layer in the model.
pub fn forecast(ground: &Ground, options: &TrainOptions, lengths: &[u32]) -> Result<Vec<[Estimate; 2]>, TrainError> {
    let terms = terms(&init::adapter(ground.model, options, "")?, options.dropout as f32);
    let of = |tokens: &u32| {
        let shape = StepShape { tokens: *tokens, targets: *tokens, train: true };
        Ok([estimate(ground, &terms, shape, Keep::All)?, estimate(ground, &terms, shape, Keep::Layers)?])
    };
    lengths.iter().map(of).collect()
}

/// An adapter's terms, as a step has them.
pub fn terms(adapter: &Adapter, dropout: f32) -> Terms {
    let mut terms = Terms::default().with_dropout(dropout);
    terms_of(adapter, PREFIX, 1.0).for_each(|(target, term)| terms.add(target.gguf_name(), term));
    terms
}

/// How much of a step to keep: everything where it fits the budget, else what goes from layer to layer. With the memory that this
/// takes, and whether it fits.
///
/// # Errors
/// An operation that cannot be trained through.
pub fn least(base: &Base, terms: &Terms, shape: StepShape) -> Result<(Keep, Estimate, bool), TrainError> {
    let ground = Ground::from(&*base.loaded);
    let fits = |found: &Estimate| found.total() <= base.memory && found.largest <= base.loaded.device.caps().max_binding;
    let all = estimate(&ground, terms, shape, Keep::All)?;
    if fits(&all) {
        return Ok((Keep::All, all, true));
    }
    let layers = estimate(&ground, terms, shape, Keep::Layers)?;
    Ok((Keep::Layers, layers, fits(&layers)))
}

/// How much of a step to keep, as [`least`] has it.
///
/// # Errors
/// [`TrainError::Memory`] where not even that fits, with what to change.
pub fn choose(base: &Base, terms: &Terms, shape: StepShape) -> Result<Keep, TrainError> {
    let (keep, Estimate { weights, trained, activations, largest }, fits) = least(base, terms, shape)?;
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
    })
}
