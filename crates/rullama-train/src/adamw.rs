//! AdamW with decoupled weight decay, and the reference that kernels are held to.
//!
//! Update k (from 1) of a value theta with gradient g, after clipping:
//!
//! ```text
//! theta = theta (1 - lr wd)
//! m = b1 m + (1 - b1) g          m^ = m / (1 - b1^k)
//! v = b2 v + (1 - b2) g^2        v^ = v / (1 - b2^k)
//! theta = theta - lr m^ / (sqrt(v^) + eps)
//! ```
//!
//! Clipping multiplies all gradients by min(1, c / (norm + 1e-6)), norm over all of them together.
//! Source: Loshchilov and Hutter 2019; `torch.optim.AdamW`, `torch.nn.utils.clip_grad_norm_`.

use crate::OptionError;

/// Settings of the optimiser.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Base learning rate; a [`Schedule`](crate::Schedule) gives each update's.
    pub lr: f64,
    pub betas: (f64, f64),
    /// Added after the root.
    pub eps: f64,
    pub weight_decay: f64,
    /// Largest norm of all gradients together; none clips nothing.
    pub clip: Option<f64>,
}

impl Default for AdamW {
    fn default() -> Self {
        AdamW { lr: 2e-4, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0, clip: Some(1.0) }
    }
}

impl AdamW {
    /// # Errors
    /// The first setting outside of its range, by name.
    pub fn check(&self) -> Result<(), OptionError> {
        let within = |name, value: f64, ok: bool, allowed: &str| if ok { Ok(()) } else { Err(OptionError::new(name, value, allowed)) };
        within("lr", self.lr, self.lr > 0.0 && self.lr <= 1.0, "it must be above 0 and at most 1; 1e-4 to 5e-4 is usual")?;
        for beta in [self.betas.0, self.betas.1] {
            within("betas", beta, (0.0..1.0).contains(&beta), "each must be at least 0 and below 1; 0.9, 0.999 is usual")?;
        }
        // Below, the kernels' float32 cannot hold it beside a root.
        within("eps", self.eps, self.eps >= 1e-20 && self.eps <= 1.0, "it must be 1e-20 to 1; 1e-8 is usual")?;
        within("weight_decay", self.weight_decay, (0.0..=1.0).contains(&self.weight_decay), "it must be 0 to 1; 0 to 0.1 is usual")?;
        let clip = self.clip.unwrap_or(1.0);
        within("clip", clip, clip > 0.0 && clip.is_finite(), "it must be a number above 0, or left out to clip nothing")
    }

    /// What gradients of this norm are multiplied by.
    pub fn clip_factor(&self, norm: f64) -> f64 {
        self.clip.map_or(1.0, |most| (most / (norm + 1e-6)).min(1.0))
    }
}

/// Root of the sum of squares over all gradients.
pub fn global_norm<'a>(gradients: impl IntoIterator<Item = &'a [f64]>) -> f64 {
    gradients.into_iter().flatten().map(|g| g * g).sum::<f64>().sqrt()
}

/// A parameter with its moments.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parameter {
    pub theta: Vec<f64>,
    pub m: Vec<f64>,
    pub v: Vec<f64>,
}

/// What became of an update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Update {
    /// The norm before clipping.
    Done { norm: f64 },
    /// The norm is not finite: nothing changed, and the update does not count.
    Skipped,
}

/// Clipping and AdamW in f64, from the formulas above.
#[derive(Debug, Clone)]
pub struct AdamWReference {
    pub settings: AdamW,
    pub parameters: Vec<Parameter>,
    /// Updates done.
    pub updates: u64,
}

impl AdamWReference {
    /// Starts with moments of 0.
    pub fn new(settings: AdamW, parameters: impl IntoIterator<Item = Vec<f64>>) -> Self {
        let start = |theta: Vec<f64>| Parameter { m: vec![0.0; theta.len()], v: vec![0.0; theta.len()], theta };
        AdamWReference { settings, parameters: parameters.into_iter().map(start).collect(), updates: 0 }
    }

    /// One update at the rate `lr`; `gradients` as the parameters.
    pub fn update(&mut self, gradients: &[Vec<f64>], lr: f64) -> Update {
        let norm = global_norm(gradients.iter().map(Vec::as_slice));
        if !norm.is_finite() {
            return Update::Skipped;
        }
        let factor = self.settings.clip_factor(norm);
        self.updates += 1;
        for (parameter, gradient) in self.parameters.iter_mut().zip(gradients) {
            step(&self.settings, parameter, gradient, factor, lr, self.updates);
        }
        Update::Done { norm }
    }
}

fn step(settings: &AdamW, parameter: &mut Parameter, gradient: &[f64], factor: f64, lr: f64, k: u64) {
    let (b1, b2) = settings.betas;
    let (c1, c2) = (1.0 - b1.powf(k as f64), 1.0 - b2.powf(k as f64));
    let Parameter { theta, m, v } = parameter;
    for (((theta, m), v), g) in theta.iter_mut().zip(m).zip(v).zip(gradient) {
        let g = g * factor;
        *m = b1 * *m + (1.0 - b1) * g;
        *v = b2 * *v + (1.0 - b2) * g * g;
        *theta = *theta * (1.0 - lr * settings.weight_decay) - lr * (*m / c1) / ((*v / c2).sqrt() + settings.eps);
    }
}

/// Gradients of one batch, summed over its micro-batches. A micro-batch's loss is divided by the targets of the
/// whole batch, so that each target counts the same; a mean of means would not.
#[derive(Debug, Clone)]
pub struct Accumulator {
    targets: f64,
    sums: Vec<Vec<f64>>,
}

impl Accumulator {
    /// For a batch with so many targets in all.
    pub fn new(targets: usize) -> Self {
        Accumulator { targets: targets.max(1) as f64, sums: Vec::new() }
    }

    /// Adds a micro-batch's gradients of the **sum** of its targets' cross-entropies.
    pub fn add(&mut self, gradients: &[Vec<f64>]) {
        if self.sums.is_empty() {
            self.sums = gradients.iter().map(|gradient| vec![0.0; gradient.len()]).collect();
        }
        for (sum, g) in self.sums.iter_mut().flatten().zip(gradients.iter().flatten()) {
            *sum += g / self.targets;
        }
    }

    /// The gradients of the batch's mean cross-entropy.
    pub fn finish(self) -> Vec<Vec<f64>> {
        self.sums
    }
}
