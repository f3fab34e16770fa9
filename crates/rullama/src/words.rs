//! Buffers of words that host and kernels share, one set a session.

use rullama_ops::sample::{HISTORY, RESULT_WORDS, RESULTS, SampleSettings};
use rullama_ops::{Words, layer_tail, state};

/// Every kind of words that a session has, and how many, for steps of up to `step` tokens; `suppressed` tokens may be biased beside
/// those that are asked for.
pub(crate) fn sizes(step: u32, suppressed: usize, vocab: u32) -> [(Words, usize); 12] {
    [
        (Words::ChunkIds, step as usize),
        (Words::ChunkState, state::WORDS as usize),
        (Words::SoftPlaces, step as usize),
        (Words::BlockEnds, step as usize),
        (Words::StepId, 4),
        (Words::StepState, state::WORDS as usize),
        (Words::Settings, size_of::<SampleSettings>() / 4),
        (Words::Bias, 1 + 2 * (crate::options::MAX_BIAS + suppressed)),
        (Words::History, HISTORY),
        (Words::Results, RESULTS * RESULT_WORDS),
        (Words::Exchange, layer_tail::WORDS),
        (Words::Mask, vocab.div_ceil(32) as usize),
    ]
}

/// The ring of the last [`HISTORY`] tokens, by position.
pub(crate) fn history(tokens: &[u32]) -> Vec<u32> {
    let mut ring = vec![0u32; HISTORY];
    let first = tokens.len().saturating_sub(HISTORY);
    for (position, id) in tokens.iter().enumerate().skip(first) {
        ring[position % HISTORY] = *id;
    }
    ring
}
