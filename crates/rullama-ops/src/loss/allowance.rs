//! What statistics and gradients may be off by: logits pass through `tanh` and `exp`.

use super::{LossGrad, LossStats, capped};
use crate::host::Host;
use crate::tolerance::{product_error, softcap_error};

/// One unit in the last place, as a share of the value.
const ULP: f64 = 1.0 / (1 << 23) as f64;

/// Largest error of `z'`.
fn logit_error(z: f32, cap: f32) -> f64 {
    if cap > 0.0 { softcap_error(f64::from(z), f64::from(cap), 0.0) } else { 0.0 }
}

/// Largest error of `exp(d)`, as a share of it, where `d` is a difference that is off by `off`; WGSL allows `3 + 2 |d|` ULP.
fn exp_error(d: f64, off: f64) -> f64 {
    off + ULP * (4.0 + 3.0 * d.abs())
}

/// See [`crate::Op::allowance`].
pub(super) fn stats(op: &LossStats, operands: &[Host], share: f32) -> Vec<f32> {
    let (z, targets) = (operands[0].tensor(), operands[1].words());
    let mut all = Vec::with_capacity(4 * z.rows);
    for (row, id) in targets.iter().enumerate().take(z.rows) {
        let logits = || z.row(row).iter().map(|z| (capped(*z, op.cap), logit_error(*z, op.cap)));
        // The largest may be any that is off by that much.
        let off = logits().map(|(_, error)| error).fold(0.0, f64::max);
        let (mut terms, mut target): (Vec<(f64, f64, f64)>, f64) = (logits().map(|(v, error)| (v, error, 1.0)).collect(), 0.0);
        if !op.begins {
            let before = operands[2].tensor().row(row);
            terms.push((f64::from(before[0]), 0.0, f64::from(before[1])));
        }
        let most = terms.iter().map(|term| term.0).fold(f64::NEG_INFINITY, f64::max);
        let errors = terms.iter().map(|(v, error, times)| times * (v - most).exp() * (exp_error(v - most, error + off) + f64::from(share)));
        if let Some(z) = id.checked_sub(op.first).and_then(|at| z.row(row).get(at as usize)) {
            target = logit_error(*z, op.cap);
        }
        all.extend([off as f32, errors.sum::<f64>() as f32 + 1e-30, target as f32, 0.0]);
    }
    all
}

/// See [`crate::Op::allowance`].
pub(super) fn grad(op: &LossGrad, operands: &[Host]) -> Vec<f32> {
    let (z, targets, stats) = (operands[0].tensor(), operands[1].words(), operands[2].tensor());
    let mut all = Vec::with_capacity(z.data.len());
    for row in 0..z.rows {
        let (weight, known) = (f64::from(f32::from_bits(targets[z.rows + row])), stats.row(row));
        for (i, &z) in z.row(row).iter().enumerate() {
            let value = capped(z, op.cap);
            let d = value - f64::from(known[0]);
            let p = d.exp() / f64::from(known[1]);
            let hit = if targets[row].checked_sub(op.first) == Some(i as u32) { 1.0 } else { 0.0 };
            let (slope, slope_error) = match f64::from(op.cap) {
                cap if cap > 0.0 => {
                    let (t, error) = (value / cap, softcap_error(f64::from(z) / cap, 1.0, 0.0));
                    (1.0 - t * t, 2.0 * error * t.abs() + error * error + 3.0 * ULP)
                }
                _ => (1.0, 0.0),
            };
            let p_error = p * (exp_error(d, logit_error(z, op.cap)) + 4.0 * ULP) + ULP;
            all.push((weight.abs() * product_error((p - hit, p_error), (slope, slope_error)) + 1e-30) as f32);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use crate::case::{Case, Rng};
    use crate::host::{Array, Host};
    use crate::loss::{LossGrad, LossStats, targets};

    /// The case with the oracle's result, its last operand changed by `change`.
    fn judge(case: &Case, change: impl Fn(&mut [f32])) -> Result<(), String> {
        let mut want = case.operands.clone();
        case.op.oracle(&mut want);
        let want = want.last().unwrap();
        let mut got = want.clone();
        change(&mut got.tensor_mut().data);
        case.compare(want, &got)
    }

    /// The bounds are no wider than what a wrong kernel makes: a target or a tile forgotten, a slope left out.
    #[test]
    fn wrong_statistics_and_gradients_are_noticed() {
        for cap in [30.0, 3.0, 0.0] {
            let z = Rng::new(5).tensor_scaled(2, 50, 8.0);
            let words = targets(&[13, 60], &[1.0, 0.5]);
            let mut operands: Vec<Host> = vec![z.into(), words, Array::zeros(2, 4).into()];
            let stats = LossStats { cap, first: 10, begins: true };
            let case = Case::new("stats", stats, operands.clone(), 50);
            judge(&case, |_| {}).unwrap();
            for at in 0..4 {
                judge(&case, |data| data[at] += 1e-2).expect_err("a hundredth");
            }
            crate::Op::oracle(&stats, &mut operands);
            operands.push(Array::zeros(2, 50).into());
            let case = Case::new("gradient", LossGrad { cap, first: 10 }, operands, 50);
            judge(&case, |_| {}).unwrap();
            judge(&case, |data| data[3] += 0.02).expect_err("of the target");
            judge(&case, |data| data.iter_mut().for_each(|dz| *dz *= 1.02)).expect_err("a wrong sum");
        }
    }
}
