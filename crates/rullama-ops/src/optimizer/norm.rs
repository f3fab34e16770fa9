//! The norm of all gradients together, in one pass over each row and one over what that leaves.

use super::are_settings;
use crate::case::{Case, Rng};
use crate::graph::{Number, Type, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Tensor, Use};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

/// Parts that a row's sum is formed in.
pub const PARTS: u32 = 128;
const WORKGROUP: u32 = 256;

/// `PARTS` sums of the squares of a row, each as its largest magnitude and the sum of `(x / largest)^2`, so that no square leaves
/// the range of f32; a third value counts what is not finite.
///
/// Operands: `x: [1, n]`, unless this `begins` `before: [PARTS, 4]` of other rows, out `after: [PARTS, 4]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NormParts {
    pub begins: bool,
}

/// `(norm, factor, ok, 0)` of the parts: the root of all squares, `min(1, clip / (norm + 1e-6))`, and 0 in place of 1 where a value is
/// not finite.
///
/// Operands: `parts: [PARTS, 4]`, the settings of the update, out `[1, 4]`.
/// Source: Pascanu et al. 2013; `torch.nn.utils.clip_grad_norm_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClipFactor;

/// Two sums of squares as one: largest magnitude and the sum relative to it.
fn joined(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    let most = a[0].max(b[0]);
    let scaled = |x: [f64; 2]| if x[0] > 0.0 { x[1] * (x[0] / most).powi(2) } else { 0.0 };
    [most, scaled(a) + scaled(b)]
}

/// Each value to a share of itself: magnitudes and sums differ by orders of magnitude.
fn each(op: &dyn Op, operands: &[Host], sums: f32) -> Option<Vec<f32>> {
    let mut made = operands.to_vec();
    op.oracle(&mut made);
    Some(made.last()?.tensor().data.iter().map(|value| value.abs() * sums).collect())
}

/// Quads of a flat row.
pub(super) fn quads(of: &Tensor) -> Result<u32, GpuError> {
    if of.rows == 1 && of.offset.is_multiple_of(4) && of.cols.is_multiple_of(4) {
        return Ok(of.cols / 4);
    }
    let message = format!("a row of [{}, {}] values from {} on; it must be one, of whole quads", of.rows, of.cols, of.offset);
    Err(GpuError::Validation { what: "a row of what is trained".into(), message })
}

impl Op for NormParts {
    fn name(&self) -> &'static str {
        "norm_parts"
    }

    fn uses(&self) -> Vec<Use> {
        [vec![Use::Read; 1 + usize::from(!self.begins)], vec![Use::Write]].concat()
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, before @ ..] = inputs else { return Err("takes a row".into()) };
        let parts = Type::f32(PARTS, 4);
        let fits = x.rows == 1 && x.number == Number::F32 && x.cols.is_multiple_of(4) && x.cols > 0;
        fit(fits && before.iter().all(|b| *b == parts) && before.len() == usize::from(!self.begins), &[("x", x)])?;
        Ok(vec![parts])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let x = operands[0].tensor()?;
        let mut link = Link::new("optimizer/norm_parts", rullama_quant::wgsl!("norm_parts.wgsl"), context.caps);
        let kernel = link.flag("before", !self.begins).constant("WG", WORKGROUP.min(context.caps.invocations)).constant("PARTS", PARTS).kernel()?;
        let quads = quads(x)?;
        let dispatch = context.recorder.dispatch(&kernel, [PARTS, 1, 1]);
        dispatch.param("quads", quads).param("offset", x.offset / 4).bind("x", &x.slice);
        if !self.begins {
            dispatch.bind("before", &operands[1].tensor()?.slice);
        }
        dispatch.bind("after", &operands[operands.len() - 1].tensor()?.slice);
        Ok(())
    }

    fn allowance(&self, operands: &[Host], sums: f32) -> Option<Vec<f32>> {
        each(self, operands, sums)
    }

    /// Each part takes every [`PARTS`]-th run of a workgroup's quads.
    fn oracle(&self, operands: &mut [Host]) {
        let mut data = vec![0f32; 4 * PARTS as usize];
        if !self.begins {
            data.copy_from_slice(&operands[1].tensor().data);
        }
        let x = operands[0].tensor();
        let run = 4 * WORKGROUP as usize;
        let mut sums: Vec<[f64; 3]> = data.chunks(4).map(|p| [f64::from(p[0]), f64::from(p[1]), f64::from(p[2])]).collect();
        for (i, values) in x.data.chunks(run).enumerate() {
            let sum = &mut sums[i % PARTS as usize];
            for value in values.iter().map(|v| f64::from(*v)) {
                if value.is_finite() {
                    let [most, all] = joined([sum[0], sum[1]], [value.abs(), 1.0]);
                    (sum[0], sum[1]) = if most > 0.0 { (most, all) } else { (0.0, 0.0) };
                } else {
                    sum[2] += 1.0;
                }
            }
        }
        let values = sums.iter().flat_map(|s| [s[0] as f32, s[1] as f32, s[2] as f32, 0.0]).collect();
        operands.last_mut().expect("parts are made").tensor_mut().data = values;
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        format!("{}", self.begins)
    }

    fn smoke(&self, _: &[Type]) -> Case {
        let mut rng = Rng::new(31);
        let mut operands = vec![Host::from(rng.tensor(1, 3000))];
        operands.extend((!self.begins).then(|| Host::from(parts(&mut rng))));
        operands.push(Array::zeros(PARTS as usize, 4).into());
        Case::new("3000", *self, operands, 1024)
    }
}

/// Parts as another row leaves them.
pub(super) fn parts(rng: &mut Rng) -> Array {
    let mut parts = rng.tensor(PARTS as usize, 4);
    for part in parts.data.chunks_mut(4) {
        (part[0], part[1], part[2], part[3]) = (part[0].abs(), 1.0 + part[1].abs(), 0.0, 0.0);
    }
    parts
}

impl Op for ClipFactor {
    fn name(&self) -> &'static str {
        "clip_factor"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [parts, settings] = take(inputs)?;
        fit(parts == Type::f32(PARTS, 4) && are_settings(&settings), &[("parts", &parts), ("settings", &settings)])?;
        Ok(vec![Type::f32(1, 4)])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let [parts, settings, out] = [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?];
        let mut link = Link::new("optimizer/clip_factor", rullama_quant::wgsl!("clip_factor.wgsl"), context.caps);
        let kernel = link.constant("PARTS", PARTS).kernel()?;
        let dispatch = context.recorder.dispatch(&kernel, [1, 1, 1]);
        dispatch.bind("parts", &parts.slice).bind("settings", &settings.slice).bind("result", &out.slice);
        Ok(())
    }

    fn allowance(&self, operands: &[Host], sums: f32) -> Option<Vec<f32>> {
        each(self, operands, sums)
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [parts, settings, out] = operands else { panic!("clip_factor takes 3 operands") };
        let clip = f64::from(settings.tensor().data[9]);
        let all = parts.tensor().data.chunks(4);
        let [most, sum] = all.clone().fold([0.0, 0.0], |sum, p| {
            let part = joined(sum, [f64::from(p[0]), f64::from(p[1])]);
            if part[0] > 0.0 { part } else { [0.0, 0.0] }
        });
        let bad = all.map(|p| p[2]).sum::<f32>() > 0.0;
        let norm = most * sum.sqrt();
        let factor = if clip > 0.0 { (clip / (norm + 1e-6)).min(1.0) } else { 1.0 };
        let ok = !bad && (norm as f32).is_finite();
        let norm = if bad { f32::INFINITY } else { norm as f32 };
        out.tensor_mut().data = vec![norm, if ok { factor as f32 } else { 0.0 }, if ok { 1.0 } else { 0.0 }, 0.0];
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        super::smoke_clip()
    }
}
