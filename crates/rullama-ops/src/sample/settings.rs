//! Words that the host and the sampler's kernels share.

use super::SampleMode;

/// Token ids that the history ring holds: the id of position p stands at p % HISTORY.
pub const HISTORY: usize = 4096;
/// Largest `top_k` of the kernels.
pub const MAX_TOP_K: u32 = 1024;
/// Most best tokens that a record can carry.
pub const MAX_TOPS: usize = 20;
/// Records in the results ring: the step with counter s writes record s % RESULTS.
pub const RESULTS: usize = 64;
/// Words of a record: id, flags, log-probability, count of tops, then (id, log-probability)
/// pairs, best first; the rest is padding. Reals are f32 bits.
pub const RESULT_WORDS: usize = 48;
/// Flag of a record: a logit was NaN or +inf, so there is no distribution; the id is 0.
pub const NOT_FINITE: u32 = 1;
/// Flag of a record: the mask allowed no token; the id is 0.
pub const NONE_ALLOWED: u32 = 2;

/// How to choose a token from logits, word for word as kernels read it.
///
/// Order, as llama.cpp: the mask, logit bias, penalties, top-k, top-p, min-p, temperature, draw.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct SampleSettings {
    /// Divides the survivors' logits; 0 takes the largest logit.
    pub temperature: f32,
    /// Candidates kept, at most [`MAX_TOP_K`]; 0 keeps all, which only [`super::reference`] can.
    pub top_k: u32,
    /// Keeps the shortest prefix of the sorted candidates whose probability reaches this;
    /// 1 or more keeps all.
    pub top_p: f32,
    /// Keeps candidates with at least this share of the largest probability.
    pub min_p: f32,
    pub seed_low: u32,
    pub seed_high: u32,
    /// Divides positive and multiplies other logits of tokens in the history; above 0.
    pub repeat_penalty: f32,
    /// Subtracted once for a token in the history.
    pub presence_penalty: f32,
    /// Subtracted for each occurrence in the history.
    pub frequency_penalty: f32,
    /// Last tokens that the penalties look at, prompt included, at most [`HISTORY`].
    pub repeat_last_n: u32,
    /// 0: no log-probabilities; n + 1: of the chosen token and of the n best, n <= [`MAX_TOPS`].
    pub logprobs: u32,
    /// Not 0: take the largest logit, lowest id on ties.
    pub greedy: u32,
    /// Not 0: only tokens whose bit in the mask is set.
    pub masked: u32,
    pub unused: [u32; 3],
}

impl Default for SampleSettings {
    /// What Gemma 4 is published with: temperature 1, top-k 64, top-p 0.95, no penalties.
    fn default() -> Self {
        SampleSettings {
            temperature: 1.0,
            top_k: 64,
            top_p: 0.95,
            min_p: 0.0,
            seed_low: 0,
            seed_high: 0,
            repeat_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            repeat_last_n: 64,
            logprobs: 0,
            greedy: 0,
            masked: 0,
            unused: [0; 3],
        }
    }
}

impl SampleSettings {
    /// Sets both halves of the seed.
    pub fn seed(mut self, seed: u64) -> Self {
        (self.seed_low, self.seed_high) = (seed as u32, (seed >> 32) as u32);
        self
    }

    /// True when the largest modified logit wins.
    pub fn is_greedy(&self) -> bool {
        self.greedy != 0 || self.temperature <= 0.0
    }

    /// Best tokens to report.
    pub fn tops(&self) -> usize {
        (self.logprobs.saturating_sub(1) as usize).min(MAX_TOPS)
    }

    /// The cheapest recording that obeys these settings, or `None` when they need
    /// [`super::reference`] on logits read back (`top_k` 0 or above [`MAX_TOP_K`]).
    pub fn mode(&self) -> Option<SampleMode> {
        match self.is_greedy() {
            true if self.tops() == 0 => Some(SampleMode::Greedy),
            true => Some(SampleMode::TopK),
            false => [SampleMode::TopK, SampleMode::WideTopK].into_iter().find(|mode| (1..=mode.most()).contains(&self.top_k)),
        }
    }
}

/// The words of the `bias` operand: the count, then (id, f32 bits) pairs. The last of several
/// biases for one id holds, since kernels want each id once.
pub fn bias_words(bias: &[(u32, f32)]) -> Vec<u32> {
    let mut pairs = bias.to_vec();
    pairs.sort_by_key(|pair| pair.0);
    let mut kept: Vec<(u32, f32)> = Vec::with_capacity(pairs.len());
    for pair in pairs {
        match kept.last_mut() {
            Some(last) if last.0 == pair.0 => *last = pair,
            _ => kept.push(pair),
        }
    }
    let words = kept.iter().flat_map(|(id, value)| [*id, value.to_bits()]);
    std::iter::once(kept.len() as u32).chain(words).collect()
}

/// What a step chose.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SampleResult {
    pub id: u32,
    /// A logit was NaN or +inf; `id` is 0 and means nothing.
    pub not_finite: bool,
    /// The mask allowed no token; `id` is 0 and means nothing.
    pub none_allowed: bool,
    /// Of `id` under the unmodified distribution, natural logarithm, when asked.
    pub logprob: Option<f32>,
    /// The best tokens of the unmodified distribution and their log-probabilities.
    pub tops: Vec<(u32, f32)>,
}

impl SampleResult {
    /// Reads a record of [`RESULT_WORDS`] words; `logprobs` as in the settings that made it.
    pub fn from_record(record: &[u32], logprobs: u32) -> Self {
        let word = |i: usize| record.get(i).copied().unwrap_or_default();
        let count = (word(3) as usize).min(MAX_TOPS);
        let (not_finite, none_allowed) = (word(1) & NOT_FINITE != 0, word(1) & NONE_ALLOWED != 0);
        SampleResult {
            id: word(0),
            not_finite,
            none_allowed,
            logprob: (logprobs > 0 && !not_finite && !none_allowed).then(|| f32::from_bits(word(2))),
            tops: (0..count).map(|i| (word(4 + 2 * i), f32::from_bits(word(5 + 2 * i)))).collect(),
        }
    }

    /// Writes the record as kernels do: tops beyond the count keep what stood there.
    pub fn write_record(&self, record: &mut [u32]) {
        record[0] = self.id;
        record[1] = if self.not_finite { NOT_FINITE } else { 0 } | if self.none_allowed { NONE_ALLOWED } else { 0 };
        record[2] = self.logprob.unwrap_or_default().to_bits();
        record[3] = self.tops.len() as u32;
        for (pair, (id, logprob)) in record[4..].chunks_exact_mut(2).zip(&self.tops) {
            pair.copy_from_slice(&[*id, logprob.to_bits()]);
        }
    }
}
