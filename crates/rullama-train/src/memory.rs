//! What training takes of the GPU, before anything is allocated.

use crate::TrainError;
use crate::device::{Estimate, estimate};
use crate::graph::{Keep, StepShape};
use crate::terms::PREFIX;
use crate::trainer::Base;
use rullama_adapter::Adapter;
use rullama_model::lora::{Terms, terms_of};

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
    let fits = |found: &Estimate| found.total() <= base.memory && found.largest <= base.loaded.device.caps().max_binding;
    let all = estimate(&base.loaded, terms, shape, Keep::All)?;
    if fits(&all) {
        return Ok((Keep::All, all, true));
    }
    let layers = estimate(&base.loaded, terms, shape, Keep::Layers)?;
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
