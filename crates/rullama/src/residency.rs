//! What of a model goes to the GPU, and what stays in its file.

use crate::Error;
use crate::options::{ExpertMode, LoadOptions, PleMode};
use rullama_gpu::Device;
use rullama_model::loaded::{Experts, Residency};
use rullama_model::model::Model;
use rullama_model::rows::CACHE_BYTES;
use rullama_model::weights::WeightSpec;
use rullama_source::{ByteSource, Locality};

/// Bytes that weights may take when nobody says: a discrete card, and anything else.
const BUDGETS: [u64; 2] = [16 << 30, 6 << 30];

/// Of the memory that is left beside the weights, the part for streamed rows: one in so many.
const ROWS_SHARE: u64 = 4;

fn budget(device: &Device, options: &LoadOptions) -> u64 {
    options.memory_budget.unwrap_or(BUDGETS[usize::from(!device.discrete())])
}

/// Whether the table that may be streamed goes to the GPU.
pub(crate) fn residency(device: &Device, model: &dyn Model, options: &LoadOptions, source: &dyn ByteSource) -> Result<Residency, Error> {
    if model.streamed().is_none() {
        return Ok(Residency::Always);
    }
    let total: u64 = model.specs().weights.iter().map(WeightSpec::bytes).sum();
    let budget = budget(device, options);
    match (options.ple, source.locality()) {
        (PleMode::Resident, _) => Ok(Residency::Always),
        (PleMode::Streamed, Locality::Remote) => Err(Error::InvalidArgument {
            name: "ple",
            value: "streamed".into(),
            reason: "would fetch a row over the network for every token; download the model first or use `resident`".into(),
        }),
        (PleMode::Auto, Locality::Remote) if total > budget => Err(Error::RemoteBudget { name: source.name().into(), need: total, budget }),
        (PleMode::Auto, Locality::Remote) => Ok(Residency::Always),
        (PleMode::Auto, _) if total <= budget => Ok(Residency::IfItFits),
        (PleMode::Streamed | PleMode::Auto, _) => Ok(Residency::Never),
    }
}

/// Bytes of weights.
#[derive(Debug, Clone, Copy)]
struct Bytes {
    /// Of all experts.
    experts: u64,
    /// Of what else goes to the GPU.
    rest: u64,
}

/// Bytes for rows of the table that may be streamed, where it is: keys, values and what a step computes need most of what the budget
/// leaves.
pub(crate) fn rows(device: &Device, model: &dyn Model, options: &LoadOptions) -> u64 {
    let table = model.streamed().map(|streamed| streamed.key);
    let specs = model.specs().weights.iter().filter(|spec| Some(spec.key.as_str()) != table);
    let weights = specs.map(WeightSpec::bytes).sum();
    CACHE_BYTES.min(budget(device, options).saturating_sub(weights) / ROWS_SHARE)
}

/// How many of each layer's experts get a place on the GPU, once it is known where the per-layer table goes.
pub(crate) fn experts(
    device: &Device,
    model: &dyn Model,
    options: &LoadOptions,
    source: &dyn ByteSource,
    table: Residency,
) -> Result<Experts, Error> {
    let facts = model.facts();
    if facts.experts == 0 || options.experts == ExpertMode::Resident {
        return Ok(Experts::All);
    }
    let left_out = model.streamed().filter(|_| table == Residency::Never).map(|streamed| streamed.key);
    let specs = || model.specs().weights.iter().filter(|spec| Some(spec.key.as_str()) != left_out);
    let sum = |of_experts: bool| specs().filter(|spec| spec.expert_rows().is_some() == of_experts).map(WeightSpec::bytes).sum();
    let bytes = Bytes { experts: sum(true), rest: sum(false) };
    let budget = budget(device, options);
    let pool = || places(bytes, (facts.experts, facts.experts_used), budget);
    let total = bytes.experts + bytes.rest;
    // Nobody said how much a card has: it is asked for all.
    let fits = total <= budget || (options.memory_budget.is_none() && device.discrete());
    match (options.experts, source.locality()) {
        (ExpertMode::Streamed, Locality::Remote) => Err(Error::InvalidArgument {
            name: "experts",
            value: "streamed".into(),
            reason: "would fetch experts over the network for every token; download the model first or use `resident`".into(),
        }),
        (ExpertMode::Auto, Locality::Remote) if !fits => Err(Error::RemoteBudget { name: source.name().into(), need: total, budget }),
        (ExpertMode::Auto, Locality::Remote) | (ExpertMode::Resident, _) => Ok(Experts::All),
        // Half of them, if the card turns out to have no room and the budget's size says nothing.
        (ExpertMode::Auto, _) if fits => Ok(Experts::AllOrPool(half(pool().ok(), facts.experts, facts.experts_used))),
        (ExpertMode::Auto | ExpertMode::Streamed, _) => Ok(Experts::Pool(pool()?)),
    }
}

fn half(pool: Option<u32>, count: u32, used: u32) -> u32 {
    pool.unwrap_or(count).min(count / 2).max(used)
}

/// Places of each layer: what the budget has room for besides the other weights.
fn places(bytes: Bytes, (count, used): (u32, u32), budget: u64) -> Result<u32, Error> {
    let each = bytes.experts.div_ceil(u64::from(count.max(1))).max(1);
    let places = (budget.saturating_sub(bytes.rest) / each).min(count.into()) as u32;
    if places < used {
        return Err(Error::ExpertBudget { budget, places, used, need: bytes.rest + each * u64::from(used) });
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_what_fits_beside_the_rest() {
        let bytes = Bytes { experts: 128 * 100, rest: 1000 };
        for (budget, want) in [(1800, Some(8)), (1899, Some(8)), (1900, Some(9)), (1_000_000, Some(128)), (1799, None), (0, None)] {
            assert_eq!(places(bytes, (128, 8), budget).ok(), want, "{budget}");
        }
        let refused = places(bytes, (128, 8), 1799).unwrap_err();
        assert!(matches!(refused, Error::ExpertBudget { places: 7, used: 8, need: 1800, budget: 1799 }), "{refused:?}");
        assert_eq!(places(bytes, (128, 8), 1800).unwrap(), 8);
    }

    #[test]
    fn a_full_card_gets_half_of_them_and_at_least_what_a_token_needs() {
        assert_eq!([half(Some(128), 128, 8), half(Some(20), 128, 8), half(None, 10, 8)], [64, 20, 8]);
    }
}
