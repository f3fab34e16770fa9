//! What training a whole model is held to, natively and in a browser: losses, gradients and steps that PyTorch computed from the same
//! file.

use crate::device::{Matrices, OnDevice, StepRow};
use crate::graph::{Keep, StepShape};
use crate::terms::{PREFIX, matrices_of, named};
use crate::{AdamW, TrainError, memory};
use rullama_adapter::{Adapter, Info, Pair, Target};
use rullama_model::Loaded;
use rullama_ops::Part;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Largest differences.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Of the first loss.
    loss: f64,
    per_token: f64,
    /// As a share of the gradient's norm.
    gradient: f64,
    /// Of each loss of the curve.
    curve: f64,
    /// Of a matrix after the steps, as a share of how far it moved.
    moved: f64,
}

impl Bounds {
    fn of(keep: Keep) -> Self {
        let exact = Bounds { loss: 1e-4, per_token: 2e-3, gradient: 1e-4, curve: 1e-3, moved: 1e-2 };
        match keep {
            // Values of 11 bits: the loss does not see them, and its gradient by a few thousandths.
            Keep::Halves(_) => Bounds { gradient: 5e-3, curve: 1e-2, moved: 0.2, ..exact },
            _ => exact,
        }
    }
}

/// How a golden is computed.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    pub keep: Keep,
    /// Bytes that a value may have, where fewer than the adapter binds.
    pub most: Option<u64>,
    /// Steps to take.
    pub steps: usize,
}

/// Sequences, an adapter to begin with, and what they come to.
pub struct Golden {
    about: About,
    tensors: BTreeMap<String, Vec<f32>>,
}

#[derive(Deserialize)]
struct About {
    model: String,
    rank: u32,
    alpha: f32,
    sequences: Vec<Sequence>,
    /// For each sequence and each of its tokens but the first.
    per_token_ce: Vec<Vec<f64>>,
    loss_curve: Vec<f64>,
    adamw: Settings,
    moved_norms: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Sequence {
    ids: Vec<u32>,
    target_mask: Vec<u8>,
}

#[derive(Deserialize)]
struct Settings {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
}

/// How far off this computation is; each number is a difference from the reference.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The largest of a token's `-ln p`.
    pub per_token: f64,
    /// Of each gradient, as a share of its norm.
    pub gradients: BTreeMap<String, f64>,
    /// Of the loss before each step of AdamW, and after the last.
    pub curve: Vec<f64>,
    /// Of each matrix after the last step, as a share of how far it moved.
    pub after: BTreeMap<String, f64>,
    /// What is beyond its bound.
    pub wrong: Vec<String>,
}

impl Golden {
    /// Reads the two files of a golden.
    ///
    /// # Errors
    /// What cannot be read of them.
    pub fn read(about: &[u8], tensors: &[u8]) -> Result<Self, String> {
        let about = serde_json::from_slice(about).map_err(|e| e.to_string())?;
        let all = SafeTensors::deserialize(tensors).map_err(|e| e.to_string())?;
        let values = |data: &[u8]| data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        Ok(Golden { about, tensors: all.iter().map(|(name, view)| (name.to_owned(), values(view.data()))).collect() })
    }

    /// Name of the model's file.
    pub fn model(&self) -> &str {
        &self.about.model
    }

    /// Steps of the optimiser that it has.
    pub fn steps(&self) -> usize {
        self.about.loss_curve.len() - 1
    }

    /// Tensors below a prefix, by the rest of their names.
    fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Vec<f32>)> {
        self.tensors.iter().filter_map(move |(name, values)| Some((name.strip_prefix(prefix)?, values)))
    }

    fn adapter(&self) -> Adapter {
        let of = |(name, a): (&str, &Vec<f32>)| {
            let key = name.strip_suffix(".lora_A")?;
            let b = self.tensors.get(&format!("init.{key}.lora_B"))?;
            Some((Target::from_key(key)?, Pair::new(self.about.rank, self.about.alpha, false, a.clone(), b.clone())))
        };
        Adapter { name: "golden".into(), pairs: self.below("init.").filter_map(of).collect(), info: Info::default() }
    }

    /// All sequences as one batch, normalised by all targets.
    fn rows(&self) -> Vec<StepRow> {
        let targets: u32 = self.about.sequences.iter().flat_map(|s| &s.target_mask).map(|m| u32::from(*m)).sum();
        let row = |Sequence { ids, target_mask }: &Sequence| {
            let predicted = (1..ids.len()).filter(|t| target_mask[*t] == 1);
            let (rows, targets_of) = predicted.map(|t| (t as u32 - 1, ids[t])).unzip();
            StepRow { starts: vec![0; ids.len()], rows, targets: targets_of, weight: 1.0 / targets as f32, ids: ids.clone() }
        };
        self.about.sequences.iter().map(row).collect()
    }

    /// Computes the losses and gradients, and takes as many of the steps as are asked for: what is off, and by how much.
    ///
    /// # Errors
    /// A device that is lost or too small.
    pub async fn check(&self, loaded: Arc<Loaded>, Way { keep, most, steps }: Way) -> Result<Report, TrainError> {
        let (adapter, rows) = (self.adapter(), self.rows());
        let longest = StepShape { tokens: 256, targets: 256, train: true };
        let mut device = OnDevice::new(loaded, memory::terms(&adapter, 0.0), longest, keep).await?;
        device.most = most.unwrap_or(device.most);
        device.write(Part::Value, &matrices_of(&adapter, PREFIX));
        let Settings { lr, betas, eps, weight_decay } = self.about.adamw;
        let adamw = AdamW { lr, betas, eps, weight_decay, clip: None };
        let mut report = Report::default();
        for (step, want) in self.about.loss_curve.iter().take(steps + 1).enumerate() {
            device.clear_gradients();
            let mut loss = 0.0;
            for (i, row) in rows.iter().enumerate() {
                let ce = device.run(row, step == 0 || step < steps, [0; 3], &|| false).await?;
                loss += ce.iter().sum::<f64>() * f64::from(row.weight);
                if step == 0 {
                    let off = row.rows.iter().zip(&ce).map(|(at, ce)| (self.about.per_token_ce[i][*at as usize] - ce).abs());
                    report.per_token = off.fold(report.per_token, larger);
                }
            }
            report.curve.push((loss - want).abs());
            if step == 0 {
                report.gradients = self.shares("grad.", &named(&adapter, PREFIX, device.read(Part::Gradient).await?));
            }
            if step < steps {
                device.apply(&adamw, lr, step as u64 + 1).await?;
            }
        }
        if steps == self.steps() {
            report.after = self.shares(&format!("after{steps}."), &named(&adapter, PREFIX, device.read(Part::Value).await?));
        }
        report.judge(adapter.pairs.len(), Bounds::of(keep));
        Ok(report)
    }

    /// Differences from the tensors below a prefix: of their norms, or of how far they moved.
    fn shares(&self, prefix: &str, got: &Matrices) -> BTreeMap<String, f64> {
        let share = |(key, want): (&str, &Vec<f32>)| {
            let whole = match prefix {
                "grad." => norm(want.iter().map(|v| f64::from(*v))),
                _ => self.about.moved_norms.get(key).copied().unwrap_or(0.0),
            };
            let got = got.get(key).filter(|got| got.len() == want.len());
            let off = got.map_or(f64::NAN, |got| norm(want.iter().zip(got).map(|(a, b)| f64::from(*a) - f64::from(*b))));
            (key.to_owned(), off / whole)
        };
        self.below(prefix).map(share).collect()
    }
}

impl Report {
    /// Fills in what is wrong, of an adapter of so many pairs.
    fn judge(&mut self, pairs: usize, bounds: Bounds) {
        let beyond = |off: f64, bound: f64| off.is_nan() || off > bound;
        let mut wrong = Vec::new();
        if self.gradients.len() != 2 * pairs {
            wrong.push(format!("{} gradients of {}", self.gradients.len(), 2 * pairs));
        }
        if beyond(self.per_token, bounds.per_token) {
            wrong.push(format!("a token: {:.2e}", self.per_token));
        }
        let bound = |step: usize| if step == 0 { bounds.loss } else { bounds.curve };
        for (step, off) in self.curve.iter().enumerate().filter(|(step, off)| beyond(**off, bound(*step))) {
            wrong.push(format!("the loss after {step} steps: {off:.2e}"));
        }
        for (what, all, bound) in [("the gradient of", &self.gradients, bounds.gradient), ("the trained", &self.after, bounds.moved)] {
            wrong.extend(all.iter().filter(|(_, off)| beyond(**off, bound)).map(|(key, off)| format!("{what} {key}: {off:.2e}")));
        }
        self.wrong = wrong;
    }
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}

/// The larger of two; what is no number stays.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}
