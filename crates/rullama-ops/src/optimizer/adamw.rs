//! Adam with decoupled weight decay, in place.

use super::norm::quads;
use super::{SETTINGS, are_settings};
use crate::case::Case;
use crate::graph::{Number, Type, fit, take};
use crate::host::Host;
use crate::op::{Context, Op, Operand, Use};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

/// An update of `theta` and of the running means `m` and `v` by a gradient `g`, which is first multiplied by the clip's factor:
///
/// `theta = theta (1 - lr wd)`, `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`,
/// `theta = theta - lr (m / c1) / (sqrt(v / c2) + eps)`, with `c = 1 - b^k` for update k from 1.
///
/// Operands: `g: [1, n]`, the settings of the update ([`UpdateSettings`](super::UpdateSettings)), `clip: [1, 4]`
/// ([`ClipFactor`](super::ClipFactor)), updated `theta`, `m`, `v`, each `[1, n]`. Nothing changes where the clip is not ok.
/// Source: Loshchilov & Hutter 2019; `torch.optim.AdamW`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdamW;

const WORKGROUP: u32 = 256;

impl Op for AdamW {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Read, Use::Update, Use::Update, Use::Update]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [g, settings, clip, theta, m, v] = take(inputs)?;
        let flat = g.rows == 1 && g.number == Number::F32 && g.cols.is_multiple_of(4);
        let same = [theta, m, v].iter().all(|of| *of == g);
        fit(flat && same && are_settings(&settings) && clip == Type::f32(1, 4), &[("g", &g), ("theta", &theta), ("m", &m), ("v", &v)])?;
        Ok(Vec::new())
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    /// In as many dispatches as the adapter's workgroups want, each from an offset on: together one update.
    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let [g, settings, clip] = [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?];
        let [theta, m, v] = [operands[3].tensor()?, operands[4].tensor()?, operands[5].tensor()?];
        let workgroup = WORKGROUP.min(context.caps.invocations);
        let mut link = Link::new("optimizer/adamw", rullama_quant::wgsl!("adamw.wgsl"), context.caps);
        let kernel = link.constant("WG", workgroup).kernel()?;
        let count = quads(g)?;
        let most = context.caps.max_groups.saturating_mul(workgroup);
        for first in (0..count).step_by(most as usize) {
            let groups = (count - first).min(most).div_ceil(workgroup);
            let dispatch = context.recorder.dispatch(&kernel, [groups, 1, 1]);
            dispatch.param("quads", count).param("first", first).param("g_offset", g.offset / 4);
            dispatch.bind("g", &g.slice).bind("settings", &settings.slice).bind("clip", &clip.slice);
            dispatch.bind("theta", &theta.slice).bind("m", &m.slice).bind("v", &v.slice);
        }
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let s: Vec<f64> = operands[1].tensor().data.iter().map(|v| f64::from(*v)).collect();
        let [lr, b1, r1, b2, r2, eps, kept, c1, c2] = s[..9] else { panic!("settings are {SETTINGS} values") };
        let clip = operands[2].tensor().data.clone();
        if clip[2] == 0.0 {
            return;
        }
        let gradients: Vec<f64> = operands[0].tensor().data.iter().map(|g| f64::from(*g) * f64::from(clip[1])).collect();
        for (i, g) in gradients.into_iter().enumerate() {
            let old = [3, 4, 5].map(|o: usize| f64::from(operands[o].tensor().data[i]));
            let (m, v) = (b1 * old[1] + r1 * g, b2 * old[2] + r2 * g * g);
            let theta = old[0] * kept - lr * (m / c1) / ((v / c2).sqrt() + eps);
            for (o, new) in [(3, theta), (4, m), (5, v)] {
                operands[o].tensor_mut().data[i] = new as f32;
            }
        }
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        super::smoke_update(1000)
    }
}
