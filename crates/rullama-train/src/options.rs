//! What is trained and how.

use crate::data::LossOn;
use crate::{AdamW, OptionError, Schedule, ScheduleKind};
use rullama_adapter::Module;
use serde::{Deserialize, Serialize};
use std::ops::Range;

mod module;
pub use module::{parse_layers, parse_modules};

/// How values of the forward pass are kept for the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activations {
    #[default]
    F32,
    /// As halves with a scale for every 32: about half the memory, gradients within 5e-3 of their norm.
    F16,
}

/// Settings of a training, with defaults that suit a first use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainOptions {
    /// Rank r of the products B A.
    pub rank: u32,
    /// The adapter's output is scaled by alpha / r. By default 2 r: the scale is then 2 at every rank, so that a
    /// learning rate found at one rank serves another.
    pub alpha: Option<f64>,
    /// Which linear layers get an adapter; by default the seven projections, attention's and the feed-forward's.
    pub targets: Vec<Module>,
    /// Which layers get one; by default all.
    pub layers: Option<Range<u32>>,
    pub lr: f64,
    pub betas: (f64, f64),
    pub eps: f64,
    pub weight_decay: f64,
    /// Largest norm of all gradients together.
    pub clip: Option<f64>,
    pub schedule: ScheduleKind,
    /// Cycles of a cosine.
    pub cycles: Option<f64>,
    /// Share of `lr` that a cosine ends at.
    pub min_lr_ratio: f64,
    /// Share of all updates with a rising rate.
    pub warmup_ratio: f64,
    /// Their number, in place of the share.
    pub warmup_steps: Option<u64>,
    pub epochs: u32,
    /// Rows of a micro-batch.
    pub batch: u32,
    /// Micro-batches of an update; by default as many as leave 8 updates an epoch, and at most 4.
    pub accumulate: Option<u32>,
    /// Longest example in tokens, and tokens of a packed row.
    pub max_len: u32,
    /// Several short examples in a row, without attention across them: no more than leave 8 rows an epoch.
    pub pack: bool,
    pub seed: u64,
    /// Share of the adapter's inputs that are dropped in training.
    pub dropout: f64,
    /// Share of the examples kept for evaluation; 0 keeps none.
    pub split: f64,
    /// Updates between evaluations; by default once an epoch.
    pub eval_every: Option<u32>,
    /// Evaluations without a better loss after which training stops.
    pub patience: Option<u32>,
    /// Seconds between checkpoints.
    pub checkpoint_seconds: u32,
    pub loss_on: LossOn,
    /// What values that are kept for the backward pass are rounded to.
    pub activations: Activations,
}

impl Default for TrainOptions {
    fn default() -> Self {
        let AdamW { lr, betas, eps, weight_decay, clip } = AdamW::default();
        TrainOptions {
            rank: 16,
            alpha: None,
            targets: Module::PROJECTIONS.to_vec(),
            layers: None,
            lr,
            betas,
            eps,
            weight_decay,
            clip,
            schedule: ScheduleKind::Cosine,
            cycles: None,
            min_lr_ratio: 0.0,
            warmup_ratio: 0.03,
            warmup_steps: None,
            epochs: 3,
            batch: 1,
            accumulate: None,
            max_len: 1024,
            pack: true,
            seed: 42,
            dropout: 0.0,
            split: 0.0,
            eval_every: None,
            patience: None,
            checkpoint_seconds: 60,
            loss_on: LossOn::Model,
            activations: Activations::F32,
        }
    }
}

/// Rows, and updates, that an epoch has at least, where the data are enough.
const LEAST: usize = 8;

/// Most updates of a training: places of random numbers have 32 bits.
const MAX_EPOCHS: u32 = 100_000;

impl TrainOptions {
    pub fn alpha(&self) -> f64 {
        self.alpha.unwrap_or(2.0 * f64::from(self.rank))
    }

    /// alpha / r, which B A x is multiplied by.
    pub fn scale(&self) -> f64 {
        self.alpha() / f64::from(self.rank)
    }

    /// Rows of an update where an epoch has `rows`.
    pub fn rows_a_step(&self, rows: usize) -> usize {
        let batch = self.batch as usize;
        batch * self.accumulate.map_or((rows / (LEAST * batch)).clamp(1, 4), |accumulate| accumulate as usize)
    }

    /// Tokens that a packed row may have where an epoch has `tokens` and the longest example `longest`: small data still give several
    /// updates.
    pub fn row_tokens(&self, tokens: u64, longest: u32) -> u32 {
        let share = tokens.div_ceil(LEAST as u64).max(u64::from(longest));
        u32::try_from(share).unwrap_or(u32::MAX).min(self.max_len)
    }

    pub fn adamw(&self) -> AdamW {
        AdamW { lr: self.lr, betas: self.betas, eps: self.eps, weight_decay: self.weight_decay, clip: self.clip }
    }

    /// The rates of a training of so many updates.
    pub fn schedule(&self, updates: u64) -> Schedule {
        let share = (updates as f64 * self.warmup_ratio).ceil() as u64;
        let warmup = self.warmup_steps.unwrap_or(share).min(updates);
        let schedule = Schedule::new(self.schedule, self.lr, warmup, updates).min(self.min_lr_ratio);
        self.cycles.map_or(schedule, |cycles| schedule.cycles(cycles))
    }

    /// # Errors
    /// The first option outside of its range, by name, with the range.
    pub fn check(&self) -> Result<(), OptionError> {
        whole("rank", self.rank, 1, 512)?;
        real("alpha", self.alpha(), self.alpha() > 0.0 && self.alpha() <= 65_536.0, "it must be above 0 and at most 65536")?;
        self.check_places()?;
        self.adamw().check()?;
        self.check_schedule()?;
        whole("epochs", self.epochs, 1, MAX_EPOCHS)?;
        whole("batch", self.batch, 1, 1024)?;
        self.accumulate.map_or(Ok(()), |accumulate| whole("accumulate", accumulate, 1, 4096))?;
        whole("max_len", self.max_len, 8, 131_072)?;
        real("dropout", self.dropout, (0.0..=0.9).contains(&self.dropout), "it must be 0 to 0.9; 0 to 0.1 is usual")?;
        real("split", self.split, (0.0..=0.5).contains(&self.split), "it must be 0 to 0.5, the share kept for evaluation")?;
        self.eval_every.map_or(Ok(()), |every| whole("eval_every", every, 1, u32::MAX))?;
        self.patience.map_or(Ok(()), |patience| whole("patience", patience, 1, 10_000))?;
        whole("checkpoint_seconds", self.checkpoint_seconds, 1, 86_400)
    }

    fn check_places(&self) -> Result<(), OptionError> {
        if self.targets.is_empty() {
            return Err(OptionError::new("targets", "empty", "name at least one, such as q_proj, or all-linear"));
        }
        match &self.layers {
            Some(layers) if layers.is_empty() => {
                let value = format!("{}..{}", layers.start, layers.end);
                Err(OptionError::new("layers", value, "it must hold at least one layer, first to last"))
            }
            _ => Ok(()),
        }
    }

    fn check_schedule(&self) -> Result<(), OptionError> {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        real("warmup_ratio", self.warmup_ratio, share(self.warmup_ratio), "it must be 0 to 1, a share of all updates")?;
        real("min_lr_ratio", self.min_lr_ratio, share(self.min_lr_ratio), "it must be 0 to 1, a share of `lr`")?;
        let Some(cycles) = self.cycles else { return Ok(()) };
        real("cycles", cycles, cycles > 0.0 && cycles <= 1000.0, "it must be above 0 and at most 1000")?;
        let whole = self.schedule != ScheduleKind::CosineWithRestarts || cycles.fract() == 0.0;
        real("cycles", cycles, whole, "with restarts it must be a whole number")
    }
}

fn whole(name: &'static str, value: u32, least: u32, most: u32) -> Result<(), OptionError> {
    let allowed = || format!("it must be {least} to {most}");
    if (least..=most).contains(&value) { Ok(()) } else { Err(OptionError::new(name, value, allowed())) }
}

fn real(name: &'static str, value: f64, ok: bool, allowed: &str) -> Result<(), OptionError> {
    if ok { Ok(()) } else { Err(OptionError::new(name, value, allowed)) }
}
