//! Values in codes of 8 bits, for products with weights that are codes as well.

use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Tensor, Use, spread};
use crate::shader::Link;
use crate::tolerance::rms;
use half::f16;
use rullama_gpu::{Caps, DispatchBuilder, GpuError, Slice};

#[cfg(feature = "cases")]
pub mod cases;

/// Values that share a scale.
pub const GROUP: usize = 32;
/// Largest code.
const MOST: f64 = 127.0;
/// What offsets of bindings are multiples of.
pub(crate) const ALIGNMENT: u64 = 256;
/// Invocations of a workgroup, a group each.
const WORKGROUP: u32 = 64;

/// `x` in codes of 8 bits: each group of 32 values as `c d` with `d = max |x| / 127` and `c = round(x / d)`, ties to even.
///
/// A group whose magnitudes are below 2^-100 is zeros; one with a value that is infinite or no number is no number.
/// Operands: `x: [tokens, dim]`, out codes `[tokens, dim]`: a plane of all codes, four a word, and one with two words a group: `d`, and
/// the sums of the codes of both halves of the group as halves, which are exact (16 * 127 < 2^11).
#[derive(Debug, Clone, PartialEq)]
pub struct Quantise;

impl Graph {
    /// `x: [tokens, dim]` in codes of 8 bits, by groups of 32.
    pub fn quantise(&mut self, x: Value) -> Value {
        self.one(Quantise, &[x])
    }
}

/// Bytes of the planes of codes `[rows, cols]`.
pub fn planes(rows: u32, cols: u32) -> [u64; 2] {
    let groups = u64::from(rows) * u64::from(cols / GROUP as u32);
    [32, 8].map(|bytes| (groups * bytes).next_multiple_of(ALIGNMENT))
}

/// The planes of codes on the GPU.
pub fn slices(of: &Tensor) -> [Slice; 2] {
    let [codes, scales] = planes(of.rows, of.cols);
    let part = |offset: u64, size: u64| Slice { offset: of.slice.offset + offset, size, ..of.slice.clone() };
    [part(0, codes), part(codes, scales)]
}

/// Has a kernel with subgroups make codes within them (`codes_store`), where they are as large as what holds a group.
pub(crate) fn link_made(link: &mut Link, codes: bool, subgroups: bool, caps: &Caps) {
    link.flag("codes", codes).flag("shuffles", codes && subgroups && caps.subgroups.is_some_and(|size| size.0 >= GROUP as u32 / 4));
}

/// Binds what a kernel makes: `y`, or its planes where it gives codes (`codes_store`).
pub(crate) fn bind_made(dispatch: &mut DispatchBuilder, y: &Tensor, codes: bool) {
    if codes {
        let [codes, scales] = slices(y);
        dispatch.bind("y_codes", &codes).bind("y_scales", &scales);
    } else {
        dispatch.bind("y", &y.slice);
    }
}

/// The oracle's codes of values.
pub(crate) fn rounded(values: Host) -> Host {
    rounded_by(values, GROUP)
}

/// The same by groups of another length.
pub(crate) fn rounded_by(values: Host, group: usize) -> Host {
    let array = values.tensor();
    Host::Codes(Array { rows: array.rows, cols: array.cols, data: round(&array.data, group) })
}

/// What values become as codes of groups of so many.
fn round(values: &[f32], group: usize) -> Vec<f32> {
    let rounded = values.chunks(group).flat_map(|group| {
        let (d, codes) = encode(group);
        codes.into_iter().map(move |code| (f64::from(code) * d) as f32)
    });
    rounded.collect()
}

/// Scale and codes of a group.
fn encode(group: &[f32]) -> (f64, Vec<i8>) {
    if group.iter().any(|x| !x.is_finite()) {
        return (f64::NAN, vec![0; group.len()]);
    }
    let largest = group.iter().fold(0f64, |most, x| most.max(f64::from(*x).abs()));
    if largest <= 2f64.powi(-100) {
        return (0.0, vec![0; group.len()]);
    }
    let d = largest / MOST;
    (d, group.iter().map(|x| (f64::from(*x) / d).round_ties_even() as i8).collect())
}

/// The words that hold these values, which are multiples of their groups' scales already.
pub(crate) fn words(array: &Array) -> Vec<u32> {
    let [codes, scales] = planes(array.rows as u32, array.cols as u32).map(|bytes| bytes as usize / 4);
    let groups: Vec<_> = array.data.chunks(GROUP).map(encode).collect();
    let mut words: Vec<u32> =
        groups.iter().flat_map(|(_, codes)| codes.chunks(4)).map(|c| u32::from_le_bytes([0, 1, 2, 3].map(|i| c[i] as u8))).collect();
    words.resize(codes, 0);
    for (d, codes) in &groups {
        let [low, high] = [&codes[..16], &codes[16..]].map(|half| f16::from_f32(half.iter().map(|c| f32::from(*c)).sum()).to_bits());
        words.extend([(*d as f32).to_bits(), u32::from(low) | u32::from(high) << 16]);
    }
    words.resize(codes + scales, 0);
    words
}

/// What `words` hold: codes by their scales; no number where the sums beside them are others.
pub(crate) fn values(rows: usize, cols: usize, words: &[u32]) -> Vec<f32> {
    let first = planes(rows as u32, cols as u32)[0] as usize / 4;
    let groups = words[..rows * cols / 4].chunks(GROUP / 4).zip(words[first..].chunks(2));
    let values = groups.flat_map(|(codes, scale)| {
        let codes: Vec<f32> = codes.iter().flat_map(|word| word.to_le_bytes()).map(|c| f32::from(c as i8)).collect();
        let sums = [scale[1] as u16, (scale[1] >> 16) as u16].map(|half| f16::from_bits(half).to_f32());
        let right = [&codes[..16], &codes[16..]].map(|half| half.iter().sum::<f32>()) == sums;
        let d = if right { f32::from_bits(scale[0]) } else { f32::NAN };
        codes.into_iter().map(move |code| code * d).collect::<Vec<f32>>()
    });
    values.collect()
}

/// Compares within `tolerance` of the root mean square: of a value that lies between two codes, a small difference decides which is
/// taken, so that one of 64 may have the next.
pub(crate) fn compare(want: &[f32], got: &[f32], tolerance: f32) -> Result<(), String> {
    let bound = tolerance * rms(want.iter().map(|value| f64::from(*value))) as f32;
    let mut ties = 0;
    for (at, (want, got)) in want.chunks(GROUP).zip(got.chunks(GROUP)).enumerate() {
        let step = want.iter().fold(0f32, |most, x| most.max(x.abs())) / MOST as f32;
        for (i, (want, got)) in want.iter().zip(got).enumerate() {
            let off = (want - got).abs();
            let equal = off <= bound + 127.0 * tolerance * step || (want.is_nan() && got.is_nan());
            if !equal && (0.9 * step..1.1 * step).contains(&off) {
                ties += 1;
            } else if !equal {
                return Err(format!("value {}: want {want}, got {got}, a step is {step:e}", GROUP * at + i));
            }
        }
    }
    if ties > 1 + want.len() / 64 { Err(format!("{ties} of {} codes are the next", want.len())) } else { Ok(()) }
}

impl Op for Quantise {
    fn name(&self) -> &'static str {
        "quantise"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x] = take(inputs)?;
        fit(x.number == Number::F32 && x.cols > 0 && x.cols.is_multiple_of(GROUP as u32), &[("x", &x)])?;
        Ok(vec![Type::codes(x.rows, x.cols)])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let [x, y] = [operands[0].tensor()?, operands[1].tensor()?];
        let kernel = Link::new("quantise", rullama_quant::wgsl!("quantise.wgsl"), context.caps).constant("WG", WORKGROUP).kernel()?;
        let groups = x.cols / GROUP as u32;
        let count = x.rows * groups;
        let dispatch = context.recorder.dispatch(&kernel, spread(count.div_ceil(WORKGROUP), context.caps.max_groups));
        dispatch.param("x_offset", x.offset / 4).param("x_stride", x.stride / 4).param("groups", groups).param("count", count);
        let [codes, scales] = slices(y);
        dispatch.bind("x", &x.slice).bind("codes", &codes).bind("scales", &scales);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, y] = operands else { panic!("quantise takes 2 operands") };
        y.codes_mut().data = round(&x.tensor().data, GROUP);
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        case(3, 96, 1.0)
    }
}

/// Values whose codes depend on no arithmetic.
fn case(rows: usize, dim: usize, scale: f32) -> Case {
    let x = Rng::new((rows * dim) as u64).near_codes(rows, dim, scale);
    Case::new(format!("{rows}x{dim} of {scale}"), Quantise, vec![x.into(), Host::Codes(Array::zeros(rows, dim))], 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_hold_what_they_were_made_of() {
        for (rows, cols) in [(1, 32), (3, 96), (7, 64)] {
            let mut operands = vec![Rng::new(rows as u64).tensor(rows, cols).into(), Host::Codes(Array::zeros(rows, cols))];
            Quantise.oracle(&mut operands);
            let (x, rounded) = (operands[0].tensor(), operands[1].codes());
            for (x, rounded) in x.data.chunks(GROUP).zip(rounded.data.chunks(GROUP)) {
                let d = x.iter().fold(0f32, |most, x| most.max(x.abs())) / 127.0;
                assert!(x.iter().zip(rounded).all(|(x, y)| (x - y).abs() <= 0.5001 * d), "{x:?} as {rounded:?}");
            }
            let words = words(rounded);
            assert_eq!(words.len() as u64 * 4, Type::codes(rows as u32, cols as u32).bytes());
            let again = values(rows, cols, &words);
            assert!(again.iter().zip(&rounded.data).all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs()), "{again:?} {rounded:?}");
        }
    }

    #[test]
    fn codes_that_are_not_the_nearest_are_told() {
        let want = Rng::new(3).near_codes(4, 64, 1.0).data;
        let off = |share: usize, steps: f32| {
            let step = |i: usize| want[i / GROUP * GROUP..][..GROUP].iter().fold(0f32, |most, x| most.max(x.abs())) / 127.0;
            let moved = |(i, x): (usize, &f32)| if i.is_multiple_of(share) { x + steps * step(i) } else { *x };
            compare(&want, &want.iter().enumerate().map(moved).collect::<Vec<f32>>(), 1e-6)
        };
        off(64, 1.0).unwrap();
        off(2, 1.0).unwrap_err();
        off(64, 2.0).unwrap_err();
        off(64, 0.3).unwrap_err();
    }

    #[test]
    fn sums_that_do_not_belong_to_the_codes_are_told() {
        let array = Rng::new(2).near_codes(1, 64, 1.0);
        let mut words = words(&array);
        assert!(values(1, 64, &words).iter().all(|x| x.is_finite()));
        let last = words.len() - 1;
        let first = planes(1, 64)[0] as usize / 4;
        assert!(last > first);
        words[first + 1] ^= 1;
        assert!(values(1, 64, &words)[..32].iter().all(|x| x.is_nan()));
    }

    #[test]
    fn zeros_and_what_is_no_number() {
        let code = |first: f32| {
            let mut group = [1e-3f32; GROUP];
            group[0] = first;
            encode(&group)
        };
        assert!(code(f32::NAN).0.is_nan() && code(f32::NEG_INFINITY).0.is_nan());
        assert_eq!(encode(&[1e-35; GROUP]), (0.0, vec![0; GROUP]));
        assert_eq!(code(f32::MAX).1[0], 127);
    }
}
