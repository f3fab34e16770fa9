//! Settings, all with defaults that suit a first use.

use crate::Error;
use rullama_gpu::{AdapterProfile, OpenOptions};
use rullama_ops::KvType;
use serde::{Deserialize, Serialize};
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

/// How to load a model.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    pub ple: PleMode,
    pub kv: KvType,
    /// Most tokens of a conversation; the default is the model's, up to 32,768.
    pub context: Option<u32>,
    /// The default in place of 32,768; as that one, it is taken as far as the model and the adapter go.
    pub preferred_context: Option<u32>,
    /// Bytes that weights may take on the GPU, for [`PleMode::Auto`]; by default 16 GiB on a discrete card, else 6 GiB.
    pub memory_budget: Option<u64>,
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
}

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
    pub repeat_penalty: f32,
    pub presence_penalty: f32,
    pub frequency_penalty: f32,
    /// Tokens that penalties look back over, the prompt's included.
    pub repeat_last_n: u32,
    /// The same seed draws the same tokens on every backend; none draws anew.
    pub seed: Option<u64>,
    /// Added to the logits of these ids; `-inf` forbids one.
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

    /// Whether the settings can be sampled with.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] with the name of the first that cannot.
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
        for (name, value) in [("presence_penalty", self.presence_penalty), ("frequency_penalty", self.frequency_penalty)] {
            if !value.is_finite() {
                return refuse(name, value, "is not a finite number");
            }
        }
        if !self.repeat_penalty.is_finite() || self.repeat_penalty <= 0.0 {
            return refuse("repeat_penalty", self.repeat_penalty, "is not a positive number");
        }
        if self.repeat_last_n > rullama_ops::sample::HISTORY as u32 {
            let reason = format!("is above {}", rullama_ops::sample::HISTORY);
            return refuse("repeat_last_n", self.repeat_last_n as f32, &reason);
        }
        if self.logit_bias.len() > MAX_BIAS {
            return refuse("logit_bias", self.logit_bias.len() as f32, "entries are more than 1024");
        }
        match self.logit_bias.iter().find(|b| b.1.is_nan() || b.1 == f32::INFINITY) {
            Some(bias) => refuse("logit_bias", bias.1, "is not a number below infinity"),
            None => Ok(()),
        }
    }
}

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
