//! Values kept as halves, 32 to a scale.

use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Tensor, Use, spread};
use crate::shader::Link;
use half::f16;
use rullama_gpu::{Caps, GpuError, Slice};

#[cfg(feature = "cases")]
pub mod cases;

/// Values that share a scale.
pub const GROUP: usize = 32;
/// What offsets of bindings are multiples of.
const ALIGNMENT: u64 = 256;
const WORKGROUP: u32 = 64;
/// Smallest exponent of a group's largest value, as in its bits: the scale is then no smaller than a normal number.
const LEAST: u32 = 15;

/// `x` in halves: each group of 32 values as `h s` with a power of two `s` such that the largest `|h|` is at least 2^14 and less than
/// 2^15, so that no value is too large, and small ones beside it keep their 11 bits.
///
/// A group whose magnitudes are below 2^-112 is less exact; one with a value that is infinite or no number is no number.
/// Operands: `x: [rows, cols]`, out halves `[rows, cols]`: a plane of all halves, two a word, and one of the scales.
#[derive(Debug, Clone, PartialEq)]
pub struct Halve;

/// The values that halves stand for. Operands: halves `[rows, cols]`, out `y: [rows, cols]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Widen;

impl Graph {
    /// `x: [rows, cols]` in halves, by groups of 32.
    pub fn halve(&mut self, x: Value) -> Value {
        self.one(Halve, &[x])
    }

    /// The values `[rows, cols]` that halves stand for.
    pub fn widen(&mut self, halves: Value) -> Value {
        self.one(Widen, &[halves])
    }
}

/// Bytes of the planes of halves `[rows, cols]`.
pub fn planes(rows: u32, cols: u32) -> [u64; 2] {
    let groups = u64::from(rows) * u64::from(cols / GROUP as u32);
    [64, 4].map(|bytes| (groups * bytes).next_multiple_of(ALIGNMENT))
}

/// The planes of halves on the GPU.
fn slices(of: &Tensor) -> [Slice; 2] {
    let [halves, scales] = planes(of.rows, of.cols);
    let part = |offset: u64, size: u64| Slice { offset: of.slice.offset + offset, size, ..of.slice.clone() };
    [part(0, halves), part(halves, scales)]
}

/// Scale of a group, and its values by it.
fn encode(group: &[f32]) -> (f32, Vec<f16>) {
    if group.iter().any(|x| !x.is_finite()) {
        return (f32::NAN, vec![f16::ZERO; group.len()]);
    }
    let largest = group.iter().fold(0f32, |most, x| most.max(x.abs()));
    let exponent = (largest.to_bits() >> 23).max(LEAST) as i32 - 127;
    let scale = 2f64.powi(exponent - 14);
    (scale as f32, group.iter().map(|x| f16::from_f64(f64::from(*x) / scale)).collect())
}

/// The words that hold these values, which are halves by their groups' scales already.
pub(crate) fn words(array: &Array) -> Vec<u32> {
    let [halves, scales] = planes(array.rows as u32, array.cols as u32).map(|bytes| bytes as usize / 4);
    let groups: Vec<_> = array.data.chunks(GROUP).map(encode).collect();
    let pair = |pair: &[f16]| u32::from(pair[0].to_bits()) | u32::from(pair[1].to_bits()) << 16;
    let mut words: Vec<u32> = groups.iter().flat_map(|(_, halves)| halves.chunks(2)).map(pair).collect();
    words.resize(halves, 0);
    words.extend(groups.iter().map(|(scale, _)| scale.to_bits()));
    words.resize(halves + scales, 0);
    words
}

/// What `words` hold.
pub(crate) fn values(rows: usize, cols: usize, words: &[u32]) -> Vec<f32> {
    let first = planes(rows as u32, cols as u32)[0] as usize / 4;
    let groups = words[..rows * cols / 2].chunks(GROUP / 2).zip(&words[first..]);
    let value = |half: u16, scale: f32| f16::from_bits(half).to_f32() * scale;
    let pairs = groups.flat_map(|(words, scale)| words.iter().map(|word| (*word, f32::from_bits(*scale))));
    pairs.flat_map(|(word, scale)| [value(word as u16, scale), value((word >> 16) as u16, scale)]).collect()
}

/// Compares within a unit of the last place, as WGSL says no more of how halves are rounded; the smallest may be flushed to zero.
pub(crate) fn compare(want: &[f32], got: &[f32]) -> Result<(), String> {
    for (at, (want, got)) in want.chunks(GROUP).zip(got.chunks(GROUP)).enumerate() {
        let most = want.iter().fold(0f32, |most, x| most.max(x.abs()));
        for (i, (want, got)) in want.iter().zip(got).enumerate() {
            let bound = want.abs() * 2f32.powi(-10) + most * 2f32.powi(-27);
            if (want - got).abs() > bound || want.is_nan() != got.is_nan() {
                return Err(format!("value {}: want {want}, got {got}, bound {bound:e}", GROUP * at + i));
            }
        }
    }
    Ok(())
}

impl Op for Halve {
    fn name(&self) -> &'static str {
        "halve"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x] = take(inputs)?;
        fit(x.number == Number::F32 && x.cols > 0 && x.cols.is_multiple_of(GROUP as u32), &[("x", &x)])?;
        Ok(vec![Type::halves(x.rows, x.cols)])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let [x, y] = [operands[0].tensor()?, operands[1].tensor()?];
        let kernel =
            Link::new("halve", rullama_quant::wgsl!("halve.wgsl"), context.caps).constant("WG", WORKGROUP).constant("LEAST", LEAST).kernel()?;
        let groups = x.cols / GROUP as u32;
        let count = x.rows * groups;
        let dispatch = context.recorder.dispatch(&kernel, spread(count.div_ceil(WORKGROUP), context.caps.max_groups));
        dispatch.param("x_offset", x.offset / 4).param("x_stride", x.stride / 4).param("groups", groups).param("count", count);
        let [halves, scales] = slices(y);
        dispatch.bind("x", &x.slice).bind("halves", &halves).bind("scales", &scales);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, y] = operands else { panic!("halve takes 2 operands") };
        let rounded = x.tensor().data.chunks(GROUP).flat_map(|group| {
            let (scale, halves) = encode(group);
            halves.into_iter().map(move |half| half.to_f32() * scale)
        });
        y.halves_mut().data = rounded.collect();
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        halve_case(3, 96, 1.0)
    }
}

impl Op for Widen {
    fn name(&self) -> &'static str {
        "widen"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x] = take(inputs)?;
        fit(x.number == Number::Halves, &[("x", &x)])?;
        Ok(vec![Type::f32(x.rows, x.cols)])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let [x, y] = [operands[0].tensor()?, operands[1].tensor()?];
        let kernel = Link::new("widen", rullama_quant::wgsl!("widen.wgsl"), context.caps).constant("WG", WORKGROUP).kernel()?;
        let count = y.rows * y.cols / 4;
        let dispatch = context.recorder.dispatch(&kernel, spread(count.div_ceil(WORKGROUP), context.caps.max_groups));
        let [halves, scales] = slices(x);
        dispatch.param("count", count).bind("halves", &halves).bind("scales", &scales).bind("y", &y.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, y] = operands else { panic!("widen takes 2 operands") };
        y.tensor_mut().data.clone_from(&x.halves().data);
    }

    fn work(&self, inputs: &[Type], _: u32) -> u64 {
        u64::from(inputs[0].rows) * u64::from(inputs[0].cols)
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        widen_case(3, 96, 1.0)
    }
}

/// Values whose groups differ in size.
fn values_of(rows: usize, cols: usize, scale: f32) -> Array {
    let mut x = Rng::new((rows * cols) as u64 + 5).tensor(rows, cols);
    for (at, group) in x.data.chunks_mut(GROUP).enumerate() {
        group.iter_mut().for_each(|x| *x *= scale * 2f32.powi(at as i32 % 9 - 4));
    }
    x
}

fn halve_case(rows: usize, cols: usize, scale: f32) -> Case {
    let name = format!("{rows}x{cols} of {scale}");
    Case::new(name, Halve, vec![values_of(rows, cols, scale).into(), Host::Halves(Array::zeros(rows, cols))], 1)
}

fn widen_case(rows: usize, cols: usize, scale: f32) -> Case {
    let mut operands = [values_of(rows, cols, scale).into(), Host::Halves(Array::zeros(rows, cols))];
    Halve.oracle(&mut operands);
    let [_, halves] = operands;
    Case::new(format!("{rows}x{cols} of {scale}"), Widen, vec![halves, Array::zeros(rows, cols).into()], 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halved(x: &Array) -> Array {
        let mut operands = [x.clone().into(), Host::Halves(Array::zeros(x.rows, x.cols))];
        Halve.oracle(&mut operands);
        operands[1].halves().clone()
    }

    /// No value is too large, and none off by more than half a unit of the last of 11 bits.
    #[test]
    fn halves_keep_eleven_bits_of_values_of_any_size() {
        for scale in [1e-30, 1e-6, 1.0, 1e5, 1e30] {
            let x = values_of(3, 96, scale);
            let y = halved(&x);
            for (x, y) in x.data.iter().zip(&y.data) {
                assert!((x - y).abs() <= x.abs() * 2f32.powi(-11), "{x} as {y}");
            }
            let words = words(&y);
            assert_eq!(words.len() as u64 * 4, Type::halves(3, 96).bytes());
            assert_eq!(values(3, 96, &words), y.data);
        }
    }

    #[test]
    fn zeros_the_largest_and_what_is_no_number() {
        let of = |first: f32| {
            let mut x = Array::zeros(1, GROUP);
            x.data[0] = first;
            halved(&x).data
        };
        assert_eq!([of(0.0)[0], of(f32::MIN_POSITIVE)[1]], [0.0, 0.0]);
        let largest = of(f32::MAX)[0];
        assert!(largest.is_infinite() || largest >= f32::MAX * 0.999, "{largest}");
        assert!(of(f32::NAN).iter().all(|x| x.is_nan()) && of(f32::INFINITY)[3].is_nan());
    }

    #[test]
    fn what_is_off_by_more_is_told() {
        let want = halved(&values_of(2, 64, 1.0)).data;
        let off = |share: f32| compare(&want, &want.iter().map(|x| x * (1.0 + share)).collect::<Vec<f32>>());
        off(0.0005).unwrap();
        off(0.002).unwrap_err();
    }
}
