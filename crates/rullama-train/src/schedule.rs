//! Learning rates over the updates of a training.
//!
//! With w updates of warm-up among T in all, update k (from 0) has the rate `base` times
//!
//! ```text
//! k / w                                            while k < w, so the first update then has rate 0
//! 1                                                constant
//! 1 - p                                            linear,               p = (k - w) / (T - w)
//! min + (1 - min) (1 + cos(2 pi cycles p)) / 2     cosine
//! (1 + cos(pi (cycles p mod 1))) / 2               cosine with restarts; 0 from p = 1 on
//! ```
//!
//! and never less than 0. Source: `get_scheduler` of transformers, whose lists the tests hold it to.

use crate::OptionError;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use std::str::FromStr;

/// How the rate moves after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    Constant,
    Linear,
    #[default]
    Cosine,
    CosineWithRestarts,
}

impl ScheduleKind {
    pub const ALL: [ScheduleKind; 4] = [Self::Constant, Self::Linear, Self::Cosine, Self::CosineWithRestarts];

    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Linear => "linear",
            Self::Cosine => "cosine",
            Self::CosineWithRestarts => "cosine_with_restarts",
        }
    }

    /// Cycles where none are given: down once, or one cycle that does not restart.
    fn usual_cycles(self) -> f64 {
        if self == Self::CosineWithRestarts { 1.0 } else { 0.5 }
    }
}

impl FromStr for ScheduleKind {
    type Err = OptionError;

    fn from_str(name: &str) -> Result<Self, OptionError> {
        let folded = name.trim().to_lowercase().replace('-', "_");
        let kind = Self::ALL.into_iter().find(|kind| kind.name() == folded);
        kind.ok_or_else(|| OptionError::new("schedule", name, "it must be one of constant, linear, cosine, cosine_with_restarts"))
    }
}

/// The rate of every update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    kind: ScheduleKind,
    base: f64,
    warmup: u64,
    total: u64,
    cycles: f64,
    min: f64,
}

impl Schedule {
    /// `base` after `warmup` of `total` updates, then as `kind` says.
    pub fn new(kind: ScheduleKind, base: f64, warmup: u64, total: u64) -> Self {
        Schedule { kind, base, warmup, total, cycles: kind.usual_cycles(), min: 0.0 }
    }

    /// With so many cycles of the cosine; restarts take whole ones.
    pub fn cycles(self, cycles: f64) -> Self {
        Schedule { cycles, ..self }
    }

    /// With a cosine that ends at this share of the base rate.
    pub fn min(self, min: f64) -> Self {
        Schedule { min, ..self }
    }

    /// Updates in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The rate of update `k`, counted from 0; defined beyond the last one, too.
    pub fn at(&self, k: u64) -> f64 {
        self.base * self.factor(k)
    }

    fn factor(&self, k: u64) -> f64 {
        if k < self.warmup {
            return k as f64 / self.warmup as f64;
        }
        let p = (k - self.warmup) as f64 / self.total.saturating_sub(self.warmup).max(1) as f64;
        let factor = match self.kind {
            ScheduleKind::Constant => 1.0,
            ScheduleKind::Linear => 1.0 - p,
            ScheduleKind::Cosine => self.min + (1.0 - self.min) * 0.5 * (1.0 + (2.0 * PI * self.cycles * p).cos()),
            ScheduleKind::CosineWithRestarts if p >= 1.0 => 0.0,
            ScheduleKind::CosineWithRestarts => 0.5 * (1.0 + (PI * (self.cycles * p).fract()).cos()),
        };
        factor.max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for kind in ScheduleKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).expect("JSON"), kind.name());
        }
        assert_eq!("Cosine-With-Restarts".parse(), Ok(ScheduleKind::CosineWithRestarts));
        let error = "exponential".parse::<ScheduleKind>().expect_err("refused").to_string();
        assert_eq!(error, "`schedule` is exponential; it must be one of constant, linear, cosine, cosine_with_restarts");
    }

    #[test]
    fn nothing_divides_by_zero() {
        for kind in ScheduleKind::ALL {
            for (warmup, total) in [(0, 0), (0, 1), (5, 5), (9, 5)] {
                let schedule = Schedule::new(kind, 1e-3, warmup, total);
                assert!((0..12).all(|k| (0.0..=1e-3).contains(&schedule.at(k))), "{schedule:?}");
            }
        }
    }
}
