//! Cross-entropy of logits that never exist whole: tile after tile of the vocabulary, first their statistics, then their gradient.
//!
//! With `z' = cap tanh(z / cap)`, or `z` where the cap is 0, a row's loss is `max + ln(sum) - target` of its last statistics.

use crate::backward::Backward;
use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Tensor, Use, reducing_variants, spread};
use crate::shader::Link;
use rullama_gpu::{Caps, DispatchBuilder, GpuError, Slice};

mod allowance;
#[cfg(feature = "cases")]
pub mod cases;

/// Statistics of each row over the vocabulary up to this tile: `(max z', sum of exp(z' - max), z' of the target, 0)`.
///
/// Operands: `z: [n, tile]`, logits of the ids from `first` on; `targets`, words: n ids, then n weights as f32; `before: [n, 4]`,
/// the statistics of the tiles before, unless this `begins`; out `after: [n, 4]`, which may be `before`. A target that no tile holds
/// counts 0. Source: Milakov & Gimelshein 2018, "Online normalizer calculation for softmax".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossStats {
    pub cap: f32,
    pub first: u32,
    /// There are no tiles before.
    pub begins: bool,
}

/// `dz = weight (exp(z' - max) / sum - [the target]) (1 - (z' / cap)^2)`: the gradient of the weighted sum of the rows' losses. Rows of
/// weight 0 get zeros.
///
/// Operands: `z: [n, tile]`, `targets` as in [`LossStats`], `stats: [n, 4]` over the whole vocabulary, out `dz: [n, tile]`, which may
/// be `z`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossGrad {
    pub cap: f32,
    pub first: u32,
}

impl Graph {
    /// Statistics `[n, 4]` of logits `z: [n, tile]` of the ids from `first` on, together with those `before`.
    pub fn loss_stats(&mut self, z: Value, targets: Value, before: Option<Value>, cap: f32, first: u32) -> Value {
        let inputs: Vec<Value> = [z, targets].into_iter().chain(before).collect();
        self.one(LossStats { cap, first, begins: before.is_none() }, &inputs)
    }

    /// The gradient `[n, tile]` of the loss with respect to logits `z`.
    pub fn loss_grad(&mut self, z: Value, targets: Value, stats: Value, cap: f32, first: u32) -> Value {
        self.one(LossGrad { cap, first }, &[z, targets, stats])
    }
}

const STATS_WORKGROUP: u32 = 256;
const GRAD_WORKGROUP: u32 = 64;

/// The logits of a tile and their targets.
fn check(z: &Type, targets: &Type, stats: Option<&Type>) -> Result<(), String> {
    let enough = targets.cols == 0 || targets.cols / 2 >= z.rows;
    let fits = z.number == Number::F32 && targets.number == Number::Words && enough && z.rows > 0 && z.cols > 0;
    let known = stats.is_none_or(|stats| *stats == Type::f32(z.rows, 4));
    let none = Type::f32(0, 0);
    fit(fits && known, &[("z", z), ("targets", targets), ("stats", stats.unwrap_or(&none))])
}

/// Checks what types do not say.
fn places(op: &dyn Op, z: &Tensor, targets: &Slice, stats: &[&Tensor]) -> Result<(), GpuError> {
    let known = stats.iter().all(|of| (of.rows, of.cols, of.stride, of.offset) == (z.rows, 4, 4, 0));
    if known && targets.size >= u64::from(z.rows) * 8 {
        return Ok(());
    }
    let message = format!("z [{}, {}], targets of {} bytes, stats {stats:?}", z.rows, z.cols, targets.size);
    Err(GpuError::Validation { what: format!("operands of `{}`", op.name()), message })
}

fn common(dispatch: &mut DispatchBuilder, z: &Tensor, first: u32, cap: f32) {
    dispatch.param("rows", z.rows).param("tile", z.cols).param("first", first).param("cap", cap);
    dispatch.param("z_offset", z.offset).param("z_stride", z.stride);
}

/// `z'` in f64.
fn capped(z: f32, cap: f32) -> f64 {
    let (z, cap) = (f64::from(z), f64::from(cap));
    if cap > 0.0 { cap * (z / cap).tanh() } else { z }
}

impl Op for LossStats {
    fn name(&self) -> &'static str {
        "loss_stats"
    }

    fn uses(&self) -> Vec<Use> {
        [vec![Use::Read; 3 - usize::from(self.begins)], vec![Use::Write]].concat()
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        match inputs {
            [z, targets] if self.begins => check(z, targets, None)?,
            [z, targets, before] if !self.begins => check(z, targets, Some(before))?,
            _ => return Err(format!("{self:?} does not take {} operands", inputs.len())),
        }
        Ok(vec![Type::f32(inputs[0].rows, 4)])
    }

    fn may_alias(&self) -> Option<(usize, usize)> {
        (!self.begins).then_some((3, 2))
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        reducing_variants(caps)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let variant = context.variant(self, operands)?;
        let (z, targets) = (operands[0].tensor()?, operands[1].words()?);
        let stats: Vec<&Tensor> = operands[2..].iter().map(|of| of.tensor()).collect::<Result<_, _>>()?;
        places(self, z, targets, &stats)?;
        let after = stats[stats.len() - 1];
        let in_place = !self.begins && stats[0].slice.same(&after.slice);
        let mut link = Link::new("loss/stats", rullama_quant::wgsl!("stats.wgsl"), context.caps);
        link.flag("subgroups", variant == "subgroups").flag("cap", self.cap > 0.0);
        link.flag("before", !self.begins && !in_place).flag("in_place", in_place);
        let kernel = link.constant("WG", STATS_WORKGROUP.min(context.caps.invocations)).kernel()?;
        let dispatch = context.recorder.dispatch(&kernel, spread(z.rows, context.caps.max_groups));
        common(dispatch, z, self.first, self.cap);
        dispatch.bind("z", &z.slice).bind("targets", targets).bind("after", &after.slice);
        if !self.begins && !in_place {
            dispatch.bind("before", &stats[0].slice);
        }
        Ok(())
    }

    fn allowance(&self, operands: &[Host], sums: f32) -> Option<Vec<f32>> {
        Some(allowance::stats(self, operands, sums))
    }

    fn oracle(&self, operands: &mut [Host]) {
        let (z, targets) = (operands[0].tensor(), operands[1].words());
        let mut data = Vec::with_capacity(4 * z.rows);
        for (row, id) in targets.iter().enumerate().take(z.rows) {
            let (mut max, mut sum, mut target) = (f64::NEG_INFINITY, 0.0, 0.0);
            if !self.begins {
                let before = operands[2].tensor().row(row);
                (max, sum, target) = (f64::from(before[0]), f64::from(before[1]), f64::from(before[2]));
            }
            let values: Vec<f64> = z.row(row).iter().map(|z| capped(*z, self.cap)).collect();
            let most = values.iter().copied().fold(max, f64::max);
            sum = sum * (max - most).exp() + values.iter().map(|v| (v - most).exp()).sum::<f64>();
            if let Some(value) = id.checked_sub(self.first).and_then(|at| values.get(at as usize)) {
                target = *value;
            }
            data.extend([most as f32, sum as f32, target as f32, 0.0]);
        }
        operands.last_mut().expect("statistics are made").tensor_mut().data = data;
    }

    /// What takes the place of the statistics' gradient are the statistics of the whole vocabulary, which every tile's logits need:
    /// `dz` follows from them, and they are handed on to the tiles before.
    fn backward(&self, back: &mut Backward) -> Result<(), String> {
        let after = 2 + usize::from(!self.begins);
        let Some(stats) = back.gradient(after) else { return Ok(()) };
        let (z, targets) = (back.operand(0), back.operand(1));
        let dz = back.graph.loss_grad(z, targets, stats, self.cap, self.first);
        back.give(0, dz);
        if !self.begins {
            back.add_to(2, |_, _| stats);
        }
        Ok(())
    }

    /// An exponential counts some multiplications.
    fn work(&self, inputs: &[Type], _: u32) -> u64 {
        16 * u64::from(inputs[0].rows) * u64::from(inputs[0].cols)
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        format!("{} {}", self.cap > 0.0, self.begins)
    }

    fn smoke(&self, _: &[Type]) -> Case {
        let mut rng = Rng::new(21);
        let scale = if self.cap > 0.0 { self.cap } else { 5.0 };
        let mut operands: Vec<Host> = vec![rng.tensor_scaled(3, 70, scale).into(), targets(&[107, 4, 169], &[1.0; 3])];
        operands.extend((!self.begins).then(|| Array { rows: 3, cols: 4, data: [scale * 0.4, 7.5, 0.2, 0.0].repeat(3) }.into()));
        operands.push(Array::zeros(3, 4).into());
        Case::new("3x70", LossStats { first: 100, ..*self }, operands, 70)
    }
}

impl Op for LossGrad {
    fn name(&self) -> &'static str {
        "loss_grad"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [z, targets, stats] = crate::graph::take(inputs)?;
        check(&z, &targets, Some(&stats))?;
        Ok(vec![z])
    }

    fn may_alias(&self) -> Option<(usize, usize)> {
        Some((3, 0))
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let (z, targets, stats, dz) = (operands[0].tensor()?, operands[1].words()?, operands[2].tensor()?, operands[3].tensor()?);
        places(self, z, targets, &[stats])?;
        let in_place = z.slice.same(&dz.slice);
        let mut link = Link::new("loss/grad", rullama_quant::wgsl!("grad.wgsl"), context.caps);
        link.flag("cap", self.cap > 0.0).flag("in_place", in_place);
        let kernel = link.constant("WG", GRAD_WORKGROUP).kernel()?;
        let [y, z_groups, _] = spread(z.rows, context.caps.max_groups);
        let dispatch = context.recorder.dispatch(&kernel, [z.cols.div_ceil(GRAD_WORKGROUP), y, z_groups]);
        common(dispatch, z, self.first, self.cap);
        dispatch.bind("targets", targets).bind("stats", &stats.slice).bind("dz", &dz.slice);
        if !in_place {
            dispatch.bind("z", &z.slice);
        }
        Ok(())
    }

    fn allowance(&self, operands: &[Host], _: f32) -> Option<Vec<f32>> {
        Some(allowance::grad(self, operands))
    }

    fn oracle(&self, operands: &mut [Host]) {
        let (z, targets, stats) = (operands[0].tensor(), operands[1].words(), operands[2].tensor());
        let mut data = Vec::with_capacity(z.data.len());
        for row in 0..z.rows {
            let (weight, known) = (f64::from(f32::from_bits(targets[z.rows + row])), stats.row(row));
            for (i, &z) in z.row(row).iter().enumerate() {
                let value = capped(z, self.cap);
                let slope = if self.cap > 0.0 { 1.0 - (value / f64::from(self.cap)).powi(2) } else { 1.0 };
                let p = (value - f64::from(known[0])).exp() / f64::from(known[1]);
                let hit = if targets[row].checked_sub(self.first) == Some(i as u32) { 1.0 } else { 0.0 };
                data.push(if weight == 0.0 { 0.0 } else { (weight * (p - hit) * slope) as f32 });
            }
        }
        operands[3].tensor_mut().data = data;
    }

    fn work(&self, inputs: &[Type], _: u32) -> u64 {
        16 * u64::from(inputs[0].rows) * u64::from(inputs[0].cols)
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        (self.cap > 0.0).to_string()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        let scale = if self.cap > 0.0 { self.cap } else { 5.0 };
        let z = Rng::new(22).tensor_scaled(3, 70, scale);
        let targets = targets(&[107, 4, 169], &[0.5, 1.0, 0.0]);
        let stats = LossStats { cap: self.cap, first: 100, begins: true };
        let mut whole = vec![z.into(), targets, Array::zeros(3, 4).into()];
        stats.oracle(&mut whole);
        whole.push(Array::zeros(3, 70).into());
        Case::new("3x70", LossGrad { first: 100, ..*self }, whole, 70)
    }
}

/// Ids and weights as the operations take them.
fn targets(ids: &[u32], weights: &[f32]) -> Host {
    Host::Words(ids.iter().copied().chain(weights.iter().map(|w| w.to_bits())).collect())
}
