//! Keys and values in 8 bits, by their definition: what kernels are compared with.

use half::f16;

/// Values that share a scale.
pub const BLOCK: usize = 32;

/// Largest code.
const MOST: f64 = 127.0;

/// Scale `d` and codes `c` of a block of 32 values `x`, which are kept as `c d`:
///
/// `d = max(f16(max |x| / 127), 2^-14)`, `c = round(x / d)`, ties to even, within -127..=127.
///
/// So a block of zeros has codes 0, and no scale is a subnormal half, which drivers may flush. A block with a value that is infinite or no
/// number, or larger than the largest half reaches (127 * 65504), has the scale NaN and codes 0: all of it is read as NaN.
pub fn quantise(block: &[f32]) -> (f16, [i8; BLOCK]) {
    let mut codes = [0; BLOCK];
    let reach = MOST * f64::from(f16::MAX);
    if block.iter().any(|x| !x.is_finite() || f64::from(*x).abs() > reach) {
        return (f16::NAN, codes);
    }
    let largest = block.iter().fold(0f64, |most, x| most.max(f64::from(*x).abs()));
    let scale = f16::from_f64(largest / MOST).max(f16::MIN_POSITIVE);
    for (code, x) in codes.iter_mut().zip(block) {
        *code = (f64::from(*x) / scale.to_f64()).round_ties_even().clamp(-MOST, MOST) as i8;
    }
    (scale, codes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Rng;
    use crate::kv::KvType;

    fn rounded(block: &[f32]) -> Vec<f32> {
        let mut block = block.to_vec();
        KvType::Q8.round(&mut block);
        block
    }

    #[test]
    fn values_are_off_by_half_a_step_and_what_is_kept_is_kept_again() {
        let mut rng = Rng::new(5);
        for size in [1e-9, 1e-5, 0.007, 0.0078, 0.02, 1.0, 300.0, 8.3e6] {
            let block: Vec<f32> = (0..BLOCK).map(|_| rng.unit() * size).collect();
            let (scale, _) = quantise(&block);
            let kept = rounded(&block);
            // The largest value may lie a rounding of the scale beyond the largest code.
            let most = scale.to_f32() * (0.5 + 127.0 / 2048.0);
            assert!(block.iter().zip(&kept).all(|(x, y)| (x - y).abs() <= most), "{size}: {block:?} as {kept:?}");
            assert_eq!(rounded(&kept), kept, "{size}");
        }
    }

    #[test]
    fn zeros_ties_and_what_no_scale_reaches() {
        let block = |first: f32, rest: f32| -> Vec<f32> { [vec![first], vec![rest; BLOCK - 1]].concat() };
        assert_eq!(quantise(&[0.0; BLOCK]), (f16::MIN_POSITIVE, [0; BLOCK]));
        let ties = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5].map(|x| rounded(&block(127.0, x))[1]);
        assert_eq!(ties, [0.0, 2.0, 2.0, 0.0, -2.0, -2.0]);
        assert_eq!(rounded(&block(8_319_008.0, 0.0))[0], 8_319_008.0);
        for first in [8_319_009.0, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            assert!(rounded(&block(first, 1.0)).iter().all(|x| x.is_nan()), "{first}");
        }
    }
}
