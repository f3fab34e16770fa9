//! What training takes of the GPU, before anything is allocated.

use crate::TrainError;
use crate::device::{Estimate, estimate};
use crate::graph::{Keep, StepShape};
use crate::trainer::Base;
use rullama_model::lora::Terms;

/// How much of a step to keep: everything where it fits the budget, else what goes from layer to layer.
///
/// # Errors
/// [`TrainError::Memory`] where not even that fits, with what to change.
pub fn choose(base: &Base, terms: &Terms, shape: StepShape) -> Result<Keep, TrainError> {
    let mut last = None;
    for keep in [Keep::All, Keep::Layers] {
        let found = estimate(&base.loaded, terms, shape, keep)?;
        if found.total() <= base.memory && found.largest <= base.loaded.device.caps().max_binding {
            return Ok(keep);
        }
        last = Some(found);
    }
    let Estimate { weights, trained, activations, largest } = last.unwrap_or_default();
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
