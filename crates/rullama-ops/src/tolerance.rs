//! How far a right kernel's results may be off: from the roundings of sums, and from the errors that WGSL allows its functions.
//!
//! Source: WGSL, "Accuracy of Built-in Functions" (f32): a sum or product is off by at most 1 ULP, a quotient by 2.5, `exp(x)` by
//! 3 + 2 |x|, and `tanh` is as exact as `sinh(x) / cosh(x)` of these.

/// Half the distance between 1 and the next f32.
pub const EPSILON: f32 = 1.0 / (1 << 24) as f32;
/// One unit in the last place, as a share of the value.
const ULP: f64 = 1.0 / (1 << 23) as f64;

/// What sums of `terms` products may be off by, as a share of the results' root mean square.
///
/// Roundings of a sum add up like a random walk: `sqrt(terms)`, with 8 for the outliers among many results. The few operations
/// around it (an inverse square root of 2 ULP, a quotient of 2.5, a product, a rotation: some 20 half ULPs) count in full, on
/// values of 3 times the root mean square.
pub fn of_sums(terms: usize) -> f32 {
    EPSILON * (8.0 * (terms.max(16) as f32).sqrt() + 64.0)
}

/// Largest error of `tanh(clamp(x, -10, 10))`.
///
/// With `d = 3 + 2 |x|` ULP for each `exp`: `sinh` is off by `d cosh + ULP |sinh|`, `cosh` by `(d + ULP) cosh`, their quotient by
/// 2.5 ULP more. Drivers that take a polynomial instead stay below 1e-5.
fn tanh_error(x: f64) -> f64 {
    let x = x.abs().min(10.0);
    let (exp, tanh) = ((3.0 + 2.0 * x) * ULP, x.tanh());
    let inherited = exp * (1.0 + tanh) + 4.5 * ULP * tanh;
    // What is cut off by the clamp is below 5e-9.
    inherited.max(1e-5) + 5e-9
}

/// Largest error of `cap * tanh(v / cap)` where `v` is off by `sum`: the slope is at most 1.
pub fn softcap_error(v: f64, cap: f64, sum: f64) -> f64 {
    cap * tanh_error(v / cap) + sum + 4.5 * ULP * v.abs()
}

/// Largest error of `gelu(v) = v/2 (1 + tanh(u))` where `v` is off by `sum`: the slope is at most 1.13; `u` is a polynomial of `v`
/// with five roundings.
pub fn gelu_error(v: f64, sum: f64) -> f64 {
    let u = std::f64::consts::FRAC_2_PI.sqrt() * (v + 0.044715 * v * v * v);
    let slope = u.cosh().powi(-2);
    0.5 * v.abs() * (tanh_error(u) + slope * 5.0 * ULP * u.abs()) + 1.13 * sum + 3.0 * ULP * v.abs()
}

/// Largest error of `gelu'(v)` for an exact `v`: of `1 + tanh(u)`, and of `4 e / (1 + e)^2` with `e = exp(-2 |u|)` times a polynomial
/// of `v`, by some twenty roundings.
pub fn gelu_slope_error(v: f64) -> f64 {
    let k = std::f64::consts::FRAC_2_PI.sqrt();
    let u = (k * (v + 0.044715 * v * v * v)).clamp(-10.0, 10.0);
    let v = v.clamp(-5.42, 5.42);
    let bend = u.cosh().powi(-2) * (0.5 * v * k * (1.0 + 0.134145 * v * v)).abs();
    // The argument's five roundings come into the exponent, whose own error is that of `exp`.
    let exponent = (3.0 + 4.0 * u.abs() + 10.0 * u.abs()) * ULP;
    0.5 * (tanh_error(u) + u.cosh().powi(-2) * 5.0 * ULP * u.abs()) + bend * (exponent + 20.0 * ULP) + ULP
}

/// Largest error of `a b` where these are off by `da` and `db`.
pub fn product_error((a, da): (f64, f64), (b, db): (f64, f64)) -> f64 {
    a.abs() * db + b.abs() * da + da * db + ULP * (a * b).abs()
}

/// Root mean square of the finite values.
pub fn rms(values: impl Iterator<Item = f64>) -> f64 {
    let finite = values.filter(|value| value.is_finite());
    let (sum, count) = finite.fold((0.0, 0usize), |(sum, count), value| (sum + value * value, count + 1));
    (sum / count.max(1) as f64).sqrt()
}

/// `|got - want| <= tolerance * rms(want) + relative * |want|`.
pub fn compare_values(want: &[f32], got: &[f32], tolerance: f32, relative: f32) -> Result<(), String> {
    let scale = rms(want.iter().map(|value| f64::from(*value))) as f32;
    compare_each(want, got, |i| tolerance * scale + relative * want[i].abs())
}

/// `|got - want| <= bound`; infinities and NaN match exactly.
pub fn compare_each(want: &[f32], got: &[f32], bound: impl Fn(usize) -> f32) -> Result<(), String> {
    for (i, (&w, &g)) in want.iter().zip(got).enumerate() {
        let equal = w == g || (w.is_nan() && g.is_nan());
        // A NaN is never within bounds.
        let close = (w - g).abs() <= bound(i);
        if !equal && !close {
            return Err(format!("value {i}: want {w}, got {g}, bound {:e}", bound(i)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every sign of the errors that `exp` may have, four times in one `tanh`.
    #[test]
    fn tanh_of_the_worst_exp() {
        for i in -1000..=1000 {
            let x = f64::from(i) / 100.0;
            let off = (3.0 + 2.0 * x.abs()) * ULP;
            for signs in 0..16u32 {
                let exp = |x: f64, bit: u32| x.exp() * (1.0 + if signs >> bit & 1 == 0 { off } else { -off });
                let sinh = (exp(x, 0) - exp(-x, 1)) * 0.5;
                let cosh = (exp(x, 2) + exp(-x, 3)) * 0.5;
                let error = (sinh / cosh - x.tanh()).abs();
                assert!(error <= tanh_error(x), "{x}: {error:e}");
            }
        }
    }

    #[test]
    fn bounds_hold_for_f32_and_are_not_loose() {
        for i in -2000..=2000 {
            let v = f64::from(i) / 50.0;
            let x = v as f32;
            let right = f64::from(30.0 * (x / 30.0).tanh()) - 30.0 * (v / 30.0).tanh();
            let bound = softcap_error(v, 30.0, 1e-6);
            assert!(right.abs() <= bound && bound < 2e-3, "{v}: {right:e} of {bound:e}");
            let u = 0.797_884_6_f32 * x * (1.0 + 0.044715 * x * x);
            let want = 0.5 * v * (1.0 + (std::f64::consts::FRAC_2_PI.sqrt() * (v + 0.044715 * v * v * v)).tanh());
            let right = f64::from(0.5 * x * (1.0 + u.clamp(-10.0, 10.0).tanh())) - want;
            let bound = gelu_error(v, 1e-6);
            assert!(right.abs() <= bound && bound <= 1e-5 * v.abs() + 1e-5, "{v}: {right:e} of {bound:e}");
        }
    }
}
