//! Buffers of words that host and kernels share, one set a session.

use rullama_gpu::{Buffer, Device, GpuError, Slice, Usage};
use rullama_model::pace::MAX_CHUNK;
use rullama_ops::sample::{HISTORY, RESULT_WORDS, RESULTS, SampleSettings};
use rullama_ops::{Words, state};

/// Every kind of words, in the order of the buffers.
const ALL: [Words; 8] =
    [Words::ChunkIds, Words::ChunkState, Words::StepId, Words::StepState, Words::Settings, Words::Bias, Words::History, Words::Results];

/// A buffer for each kind.
#[derive(Debug)]
pub(crate) struct WordBuffers(Vec<Buffer>);

impl WordBuffers {
    /// `suppressed` tokens may be biased beside those that are asked for.
    pub async fn new(device: &Device, suppressed: usize) -> Result<Self, GpuError> {
        let mut buffers = Vec::with_capacity(ALL.len());
        for words in ALL {
            let (label, count) = match words {
                Words::ChunkIds => ("chunk ids", MAX_CHUNK as usize),
                Words::ChunkState => ("chunk state", state::WORDS as usize),
                Words::StepId => ("step id", 4),
                Words::StepState => ("step state", state::WORDS as usize),
                Words::Settings => ("sampler settings", size_of::<SampleSettings>() / 4),
                Words::Bias => ("logit bias", 1 + 2 * (crate::options::MAX_BIAS + suppressed)),
                Words::History => ("token history", HISTORY),
                Words::Results => ("sampler results", RESULTS * RESULT_WORDS),
            };
            buffers.push(device.buffer(label, count as u64 * 4, Usage::Storage).await?);
        }
        Ok(WordBuffers(buffers))
    }

    pub fn buffer(&self, words: Words) -> &Buffer {
        let index = ALL.iter().position(|known| *known == words).unwrap_or_default();
        &self.0[index]
    }

    pub fn slice(&self, words: Words) -> Slice {
        self.buffer(words).whole()
    }

    pub fn write(&self, device: &Device, words: Words, bytes: &[u8]) {
        device.write(self.buffer(words), 0, bytes);
    }
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
