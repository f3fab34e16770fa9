//! Convolutions that halve time and frequency.

use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use, spread};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

#[cfg(feature = "cases")]
pub mod cases;

/// `y = max(0, norm(conv(x)))`: a convolution of 3 x 3 over rows and bins with stride 2 and one zero on every side, then layer norm over
/// the channels with a weight and no bias.
///
/// `conv[t, f, o] = sum x[2t - 1 + i, 2f - 1 + j, c] w[(3i + j) inner + c, o]` over `i, j < 3` and the `inner` channels `c`.
///
/// Operands: `x: [rows, bins * inner]`, a bin's channels side by side, `w: [9 * inner, outer]`, `norm: [1, outer]`, out
/// `y: [ceil(rows / 2), ceil(bins / 2) * outer]`. Sums in f32, the variance's from the differences to the mean.
/// Source: Gulati et al. 2020 (Conformer); Ba et al. 2016.
#[derive(Debug, Clone)]
pub struct Subsample {
    pub bins: u32,
    pub eps: f32,
}

impl Graph {
    /// `x: [rows, bins * inner]` with rows and bins halved, by the kernel `w: [9 * inner, outer]` and a norm `[1, outer]`.
    pub fn subsample(&mut self, op: Subsample, x: Value, w: Value, norm: Value) -> Value {
        self.one(op, &[x, w, norm])
    }
}

/// Channels whose sums workgroup memory holds: 4 KiB.
const MAX_CHANNELS: u32 = 1024;

fn workgroup(outer: u32) -> u32 {
    (outer / 4).next_power_of_two().clamp(8, 64)
}

impl Op for Subsample {
    fn name(&self) -> &'static str {
        "subsample"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, w, norm] = take(inputs)?;
        let whole = self.bins > 0 && x.cols.is_multiple_of(self.bins) && x.rows > 0 && x.cols.is_multiple_of(4);
        let outer = w.cols;
        let channels = outer.is_multiple_of(4) && (4..=MAX_CHANNELS).contains(&outer);
        let f32s = x.number == Number::F32 && w.number == Number::F32;
        let fits = f32s && whole && channels && w.rows == 9 * (x.cols / self.bins.max(1)) && norm == Type::f32(1, outer);
        fit(fits, &[("x", &x), ("w", &w), ("norm", &norm)])?;
        Ok(vec![Type::f32(x.rows.div_ceil(2), self.bins.div_ceil(2) * outer)])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let [x, w, norm, y] = [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?, operands[3].tensor()?];
        let kernel = Link::new("subsample", rullama_quant::wgsl!("subsample.wgsl"), context.caps)
            .constant("QUADS", w.cols / 4)
            .constant("WG", workgroup(w.cols))
            .kernel()?;
        let places = y.rows * self.bins.div_ceil(2);
        let dispatch = context.recorder.dispatch(&kernel, spread(places, context.caps.max_groups));
        dispatch.param("places", places).param("rows", x.rows).param("bins", self.bins).param("inner", x.cols / self.bins);
        dispatch.param("stride", x.stride).param("offset", x.offset);
        dispatch.param("w_stride", w.stride / 4).param("w_offset", w.offset / 4).param("norm_offset", norm.offset / 4).param("eps", self.eps);
        dispatch.bind("x", &x.slice).bind("w", &w.slice).bind("norm", &norm.slice).bind("y", &y.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, w, norm, y] = operands else { panic!("subsample takes 4 operands") };
        let (x, w, norm, y) = (x.tensor(), w.tensor(), norm.tensor(), y.tensor_mut());
        let bins = self.bins as usize;
        let (inner, outer) = (x.cols / bins, w.cols);
        let input = |row: isize, bin: isize, c: usize| {
            let inside = row >= 0 && bin >= 0 && (row as usize) < x.rows && (bin as usize) < bins;
            if inside { f64::from(x.row(row as usize)[bin as usize * inner + c]) } else { 0.0 }
        };
        for t in 0..y.rows {
            for f in 0..y.cols / outer {
                let mut sums = vec![0.0; outer];
                for (i, j, c) in (0..3).flat_map(|i| (0..3).flat_map(move |j| (0..inner).map(move |c| (i, j, c)))) {
                    let value = input(2 * t as isize - 1 + i as isize, 2 * f as isize - 1 + j as isize, c);
                    sums.iter_mut().zip(w.row((3 * i + j) * inner + c)).for_each(|(sum, w)| *sum += value * f64::from(*w));
                }
                let mean = sums.iter().sum::<f64>() / outer as f64;
                let variance = sums.iter().map(|sum| (sum - mean).powi(2)).sum::<f64>() / outer as f64;
                let scale = (variance + f64::from(self.eps)).sqrt().recip();
                for (o, sum) in sums.iter().enumerate() {
                    y.row_mut(t)[f * outer + o] = ((sum - mean) * scale * f64::from(norm.data[o])).max(0.0) as f32;
                }
            }
        }
    }

    fn work(&self, inputs: &[Type], _: u32) -> u64 {
        let places = u64::from(inputs[0].rows.div_ceil(2)) * u64::from(self.bins.div_ceil(2));
        places * u64::from(inputs[1].rows) * u64::from(inputs[1].cols)
    }

    fn kernels(&self, inputs: &[Type], _: &Caps) -> String {
        format!("{} channels", inputs[1].cols)
    }

    fn smoke(&self, inputs: &[Type]) -> Case {
        Subsample { bins: 6, eps: 1e-6 }.case(5, 2, inputs[1].cols as usize)
    }
}

impl Subsample {
    fn case(self, rows: usize, inner: usize, outer: usize) -> Case {
        let mut rng = Rng::new((rows * outer + inner) as u64 + 59);
        let bins = self.bins as usize;
        let mut operands: Vec<Host> = vec![rng.tensor(rows, bins * inner).into(), rng.tensor(9 * inner, outer).into()];
        operands.push(rng.tensor(1, outer).into());
        operands.push(Array::zeros(rows.div_ceil(2), bins.div_ceil(2) * outer).into());
        Case::new(format!("{rows}x{bins} of {inner} to {outer}"), self, operands, 9 * inner + outer)
    }
}
