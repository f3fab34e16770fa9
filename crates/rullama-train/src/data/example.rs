use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// Which tokens are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossOn {
    /// What the model writes: its turns with their end mark, and the opening of a tool's response, by which it
    /// hands over.
    #[default]
    Model,
    /// Every token but the first.
    All,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    /// Cut at its end; targets are left.
    Truncated,
    /// Cut so short that no target was left.
    Dropped,
    /// Blank.
    Skipped,
    /// No example.
    Error,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Truncated => "truncated",
            Status::Dropped => "dropped",
            Status::Skipped => "skipped",
            Status::Error => "error",
        }
    }
}

/// One example as the model sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Line in the file, from 1; where the file is one JSON list, the element.
    pub line: u32,
    pub ids: Vec<u32>,
    /// Whether the token is predicted, from those before it, and counted. As long as `ids`; never the first.
    pub target: Vec<bool>,
}

impl Example {
    /// Tokens that are counted.
    pub fn targets(&self) -> usize {
        self.target.iter().filter(|&&target| target).count()
    }
}

/// Lines that did not become whole examples, by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineReport {
    /// First and last line; neighbours with one status and reason are reported together.
    pub first: u32,
    pub last: u32,
    pub status: Status,
    pub reason: Cow<'static, str>,
}

/// Lines by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    pub ok: u32,
    pub truncated: u32,
    pub dropped: u32,
    pub skipped: u32,
    pub error: u32,
}

impl Counts {
    pub(super) fn add(&mut self, status: Status) {
        *match status {
            Status::Ok => &mut self.ok,
            Status::Truncated => &mut self.truncated,
            Status::Dropped => &mut self.dropped,
            Status::Skipped => &mut self.skipped,
            Status::Error => &mut self.error,
        } += 1;
    }
}

/// The examples of a file.
#[derive(Debug, Clone, Default)]
pub struct Dataset {
    pub examples: Vec<Example>,
    /// Every line that is not [`Status::Ok`], in order.
    pub reports: Vec<LineReport>,
    pub counts: Counts,
}

impl Dataset {
    /// SHA-256 of all ids and targets, in order.
    pub fn identity(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for example in &self.examples {
            hash.update((example.ids.len() as u64).to_le_bytes());
            for (id, target) in example.ids.iter().zip(&example.target) {
                hash.update((id << 1 | u32::from(*target)).to_le_bytes());
            }
        }
        hash.finalize().into()
    }

    /// Tokens of all examples.
    pub fn tokens(&self) -> u64 {
        self.examples.iter().map(|example| example.ids.len() as u64).sum()
    }

    /// Tokens that are counted.
    pub fn targets(&self) -> u64 {
        self.examples.iter().map(|example| example.targets() as u64).sum()
    }
}
