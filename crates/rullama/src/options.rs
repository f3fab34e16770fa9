//! Settings, all with defaults that suit a first use.

use crate::{Error, ForcedCall, Format};
use rullama_gpu::{AdapterProfile, OpenOptions};
use rullama_model::products::{Measurements, Products};
use rullama_ops::KvType;
use rullama_source::ByteSource;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where the per-layer embedding table lives (most of an E2B or E4B file).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PleMode {
    /// On the GPU when all weights fit the memory budget, else streamed. From a server, where rows are
    /// not streamed, what does not fit is [`Error::RemoteBudget`].
    #[default]
    Auto,
    /// On the GPU: several decode steps stay in flight.
    Resident,
    /// Rows come from the source as tokens need them: each step waits for its token.
    Streamed,
}

/// Where the experts of a mixture live (most of a 26B-A4B file).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExpertMode {
    /// On the GPU when all weights fit the memory budget, or, on a discrete card for which none is given, its memory; else streamed. From
    /// a server, where experts are not streamed, what does not fit is [`Error::RemoteBudget`].
    #[default]
    Auto,
    /// On the GPU: several decode steps stay in flight.
    Resident,
    /// As many of each layer as the memory budget has room for, least recently used ones given up for those that tokens go to: each
    /// layer of a step waits for its choice.
    Streamed,
}

/// Whether an answer's next tokens are guessed and verified several in a step. What is drawn is the same with each, as far as the
/// logits are: a step of few rows may add in another order than one of a single row, so that a tie within rounding may fall otherwise,
/// with [`Products::Int8`] within that to 8 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speculate {
    /// One token a step.
    #[default]
    Off,
    /// By prompt look-up and by the drafter, if there is one, where that was measured to be faster.
    Auto,
    /// By prompt look-up wherever the text reads as it did before, whether that is faster or not; other steps wait for their tokens.
    Lookup,
    /// By the drafter for every token, whether that is faster or not.
    Drafter,
}

/// Whether a decode step's workgroups stay on the GPU from product to product and wait for each other, where a model has
/// per-layer embeddings and products are [`Int8`](Products::Int8): fewer, longer dispatches. No API promises that workgroups run at once; waits are
/// bounded, and a step that gives up is computed again without, as are all that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Persistent {
    /// Where that was right and faster on this adapter; never on CPU adapters.
    #[default]
    Auto,
    /// Where it is right.
    On,
    Off,
}

/// How to load a model.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    pub ple: PleMode,
    pub experts: ExpertMode,
    pub kv: KvType,
    /// Most tokens of a conversation; the default is the model's, up to 32,768.
    pub context: Option<u32>,
    /// The default in place of 32,768; as that one, it is taken as far as the model and the adapter go.
    pub preferred_context: Option<u32>,
    /// Bytes that weights may take on the GPU, for [`PleMode::Auto`], [`ExpertMode::Auto`] and [`ExpertMode::Streamed`]; by default 16 GiB on a discrete card, else 6 GiB.
    pub memory_budget: Option<u64>,
    /// Tokens of a prompt's chunk, 16 to 512; by default as many as the measured speed of the device allows, 512 on most. Another
    /// length adds in another order: with one given, a prompt's logits are the same to the bit in every run on a device.
    pub chunk: Option<u32>,
    pub products: Products,
    pub persistent: Persistent,
    /// Where measurements of adapters are kept; none measures at each load, which takes milliseconds.
    pub measurements: Option<Arc<dyn Measurements>>,
    /// Off where experts are streamed.
    pub speculate: Speculate,
    /// A small model that was made to guess this one's tokens (`gemma4-assistant`), for [`Speculate::Auto`] and [`Speculate::Drafter`]; else it
    /// is not read.
    pub drafter: Option<Arc<dyn ByteSource>>,
    pub profile: AdapterProfile,
    /// A browser granted the `subgroups` feature.
    pub browser_subgroups: bool,
    /// On a CPU adapter, take the kernels that a GPU would get: for tests.
    pub as_gpu: bool,
    /// Which prompt template, when the store's configuration names one.
    pub large_template: Option<bool>,
}

impl LoadOptions {
    pub(crate) fn adapter(&self) -> OpenOptions {
        OpenOptions { profile: self.profile, browser_subgroups: self.browser_subgroups, as_gpu: self.as_gpu }
    }

    /// A CPU adapter does not become faster in codes by taking the kernels of GPUs.
    pub(crate) fn wanted_products(&self) -> Products {
        if self.as_gpu && self.products == Products::Auto { Products::Exact } else { self.products }
    }
}

/// What logits may be divided by: published settings are from 1 to 2. Beyond these bounds logits become infinite, or all the same.
pub const REPEAT_PENALTIES: RangeInclusive<f32> = 0.01..=100.0;
/// What may be subtracted from logits: published settings are from -2 to 2.
pub const PENALTIES: RangeInclusive<f32> = -100.0..=100.0;

/// How the next token is chosen. The defaults are those published with Gemma 4.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: f32,
    /// 0 keeps all; above 1,024 the host samples.
    pub top_k: u32,
    pub top_p: f32,
    pub min_p: f32,
    /// Within [`REPEAT_PENALTIES`]; 1 is off.
    pub repeat_penalty: f32,
    /// Within [`PENALTIES`].
    pub presence_penalty: f32,
    /// Within [`PENALTIES`].
    pub frequency_penalty: f32,
    /// Tokens that penalties look back over, the prompt's included.
    pub repeat_last_n: u32,
    /// The same seed draws the same tokens on every backend; none draws anew.
    pub seed: Option<u64>,
    /// Added to the logits of these ids, at most 1e6 either way; `-inf` forbids one.
    pub logit_bias: Vec<(u32, f32)>,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling {
            temperature: 1.0,
            top_k: 64,
            top_p: 0.95,
            min_p: 0.0,
            repeat_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            repeat_last_n: 64,
            seed: None,
            logit_bias: Vec::new(),
        }
    }
}

impl Sampling {
    /// Always the likeliest token.
    pub fn greedy() -> Self {
        Sampling { temperature: 0.0, ..Default::default() }
    }

    /// What any answer checks before it begins.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for the first value that is out of range.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |name: &'static str, value: f32, reason: &str| {
            Err(Error::InvalidArgument { name, value: value.to_string(), reason: reason.into() })
        };
        for (name, value) in [("temperature", self.temperature), ("min_p", self.min_p), ("top_p", self.top_p)] {
            if !value.is_finite() || value < 0.0 {
                return refuse(name, value, "is not a number of at least 0");
            }
        }
        for (name, value) in [("min_p", self.min_p), ("top_p", self.top_p)] {
            if value > 1.0 {
                return refuse(name, value, "is a share of probability, and so at most 1");
            }
        }
        for (name, value, range) in [
            ("presence_penalty", self.presence_penalty, PENALTIES),
            ("frequency_penalty", self.frequency_penalty, PENALTIES),
            ("repeat_penalty", self.repeat_penalty, REPEAT_PENALTIES),
        ] {
            if !range.contains(&value) {
                return refuse(name, value, &format!("is not from {} to {}", range.start(), range.end()));
            }
        }
        if self.repeat_last_n > rullama_ops::sample::HISTORY as u32 {
            let reason = format!("is above {}", rullama_ops::sample::HISTORY);
            return refuse("repeat_last_n", self.repeat_last_n as f32, &reason);
        }
        if self.logit_bias.len() > MAX_BIAS {
            return refuse("logit_bias", self.logit_bias.len() as f32, "entries are more than 1024");
        }
        match self.logit_bias.iter().find(|b| b.1 != f32::NEG_INFINITY && !(-MOST_BIAS..=MOST_BIAS).contains(&b.1)) {
            Some(bias) => refuse("logit_bias", bias.1, "is neither from -1e6 to 1e6 nor -inf"),
            None => Ok(()),
        }
    }
}

/// Largest bias: far above any logit, and finite after every penalty.
const MOST_BIAS: f32 = 1e6;
/// Most biased tokens.
pub(crate) const MAX_BIAS: usize = 1024;

/// What to generate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenerateOptions {
    pub sampling: Sampling,
    /// None: until the model ends or the context is full.
    pub max_tokens: Option<u32>,
    /// Texts that end the answer; they are not part of it.
    pub stop: Vec<String>,
    /// Go on through end tokens.
    pub ignore_eos: bool,
    /// Log-probabilities of each token under the unmodified distribution, with this many of
    /// the likeliest beside it (at most 20).
    pub logprobs: Option<u32>,
    /// What the answer's content is to be, behind any thoughts: every token is drawn among those that keep to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// A call that stands in the place of content; the prompt must show its tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced: Option<ForcedCall>,
}

/// Asks a running answer to stop; clones share the request.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_make_logits_infinite_is_named() {
        let changed = |change: &dyn Fn(&mut Sampling)| {
            let mut sampling = Sampling::default();
            change(&mut sampling);
            sampling.check()
        };
        for value in [1e-45, 0.0099, 100.1, 1e30, 0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(
                matches!(changed(&|s| s.repeat_penalty = value), Err(Error::InvalidArgument { name: "repeat_penalty", .. })),
                "{value}"
            );
        }
        for value in [-100.1, 3e38, f32::NAN, f32::NEG_INFINITY] {
            let presence = changed(&|s| s.presence_penalty = value);
            assert!(matches!(presence, Err(Error::InvalidArgument { name: "presence_penalty", .. })), "{value}");
            let frequency = changed(&|s| s.frequency_penalty = value);
            assert!(matches!(frequency, Err(Error::InvalidArgument { name: "frequency_penalty", .. })), "{value}");
        }
        for value in [f32::NAN, f32::INFINITY, 3e38, -2e6] {
            let biased = changed(&|s| s.logit_bias = vec![(0, 0.0), (1, value)]);
            assert!(matches!(biased, Err(Error::InvalidArgument { name: "logit_bias", .. })), "{value}");
        }
        let bounds = |s: &mut Sampling| {
            (s.repeat_penalty, s.presence_penalty, s.frequency_penalty) = (0.01, -100.0, 100.0);
            s.logit_bias = vec![(1, f32::NEG_INFINITY), (2, -1e6), (3, 1e6)];
        };
        changed(&bounds).unwrap();
        changed(&|s| s.repeat_penalty = 100.0).unwrap();
    }
}
