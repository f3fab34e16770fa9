//! The optimiser: the norm of all gradients, and AdamW.
//!
//! What is trained lies in flat rows `[1, n]`, each of many matrices one after the other; what lies between them is zero and stays so.

mod adamw;
#[cfg(feature = "cases")]
pub mod cases;
mod norm;

pub use adamw::AdamW;
pub use norm::{ClipFactor, NormParts, PARTS};

use crate::graph::{Graph, Type, Value};

/// Numbers of an update, as the host writes them: a row `[1, 12]`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct UpdateSettings {
    pub lr: f32,
    pub beta1: f32,
    /// `1 - beta1`, which f32 cannot form exactly enough.
    pub rest1: f32,
    pub beta2: f32,
    /// `1 - beta2`.
    pub rest2: f32,
    pub eps: f32,
    /// `1 - lr * weight decay`.
    pub kept: f32,
    /// `1 - beta1^k` for update k, counted from 1.
    pub correction1: f32,
    /// `1 - beta2^k`.
    pub correction2: f32,
    /// Largest norm of all gradients together; 0: any.
    pub clip: f32,
    pub unused: [f32; 2],
}

/// Values of the settings' row.
pub const SETTINGS: u32 = (size_of::<UpdateSettings>() / 4) as u32;

impl UpdateSettings {
    /// The settings of update `k`, counted from 1; formed in f64.
    pub fn new(lr: f64, betas: (f64, f64), eps: f64, weight_decay: f64, clip: Option<f64>, k: u64) -> Self {
        let power = |beta: f64| 1.0 - beta.powf(k as f64);
        UpdateSettings {
            lr: lr as f32,
            beta1: betas.0 as f32,
            rest1: (1.0 - betas.0) as f32,
            beta2: betas.1 as f32,
            rest2: (1.0 - betas.1) as f32,
            eps: eps as f32,
            kept: (1.0 - lr * weight_decay) as f32,
            correction1: power(betas.0) as f32,
            correction2: power(betas.1) as f32,
            clip: clip.unwrap_or(0.0) as f32,
            unused: [0.0; 2],
        }
    }
}

impl Graph {
    /// Sums of squares of a row of gradients, together with those `before`; see [`NormParts`].
    pub fn norm_parts(&mut self, gradient: Value, before: Option<Value>) -> Value {
        let inputs: Vec<Value> = [gradient].into_iter().chain(before).collect();
        self.one(NormParts { begins: before.is_none() }, &inputs)
    }

    /// The norm that `parts` come to, and what gradients are multiplied by; see [`ClipFactor`].
    pub fn clip_factor(&mut self, parts: Value, settings: Value) -> Value {
        self.one(ClipFactor, &[parts, settings])
    }

    /// Updates `theta`, `m` and `v` by `gradient`, all `[1, n]`; see [`AdamW`].
    pub fn adamw(&mut self, gradient: Value, settings: Value, clip: Value, [theta, m, v]: [Value; 3]) {
        self.add(AdamW, &[gradient, settings, clip, theta, m, v]);
    }
}

fn are_settings(of: &Type) -> bool {
    *of == Type::f32(1, SETTINGS)
}

/// Parts of two magnitudes, clipped.
fn smoke_clip() -> crate::case::Case {
    let mut rng = crate::case::Rng::new(32);
    let settings = UpdateSettings::new(1e-3, (0.9, 0.999), 1e-8, 0.1, Some(2.0), 3);
    let operands = vec![norm::parts(&mut rng).into(), row(&settings), crate::host::Array::zeros(1, 4).into()];
    crate::case::Case::new("clipped", ClipFactor, operands, norm::PARTS as usize)
}

/// An update of `n` values that are well within the range of f32.
fn smoke_update(n: usize) -> crate::case::Case {
    let mut rng = crate::case::Rng::new(33);
    let settings = UpdateSettings::new(1e-2, (0.9, 0.999), 1e-8, 0.1, Some(1.0), 3);
    let clip = crate::host::Array { rows: 1, cols: 4, data: vec![2.0, 0.5, 1.0, 0.0] };
    let mut squares = rng.tensor(1, n);
    squares.data.iter_mut().for_each(|v| *v = 0.1 + v.abs());
    let operands =
        vec![rng.tensor(1, n).into(), row(&settings), clip.into(), rng.tensor(1, n).into(), rng.tensor(1, n).into(), squares.into()];
    crate::case::Case::new(format!("{n}"), AdamW, operands, 16)
}

/// Settings as an operand.
fn row(settings: &UpdateSettings) -> crate::host::Host {
    let data = bytemuck::cast_slice::<UpdateSettings, f32>(std::slice::from_ref(settings)).to_vec();
    crate::host::Array { rows: 1, cols: SETTINGS as usize, data }.into()
}
