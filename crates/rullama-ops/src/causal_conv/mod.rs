//! Convolution along the rows, each column for itself.

use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use, spread};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

#[cfg(feature = "cases")]
pub mod cases;

/// `y[t, c] = sum_j w[j, c] x[t - taps + 1 + j, c]`, with zeros before the first row: a depthwise convolution that sees no later row.
///
/// Operands: `x: [tokens, dim]`, `w: [taps, dim]`, out `y: [tokens, dim]`. Sums in f32. Source: Gulati et al. 2020 (Conformer).
#[derive(Debug, Clone)]
pub struct CausalConv;

impl Graph {
    /// Each column of `x: [tokens, dim]` convolved with that of `w: [taps, dim]`, which looks back alone.
    pub fn causal_conv(&mut self, x: Value, w: Value) -> Value {
        self.one(CausalConv, &[x, w])
    }
}

const WORKGROUP: u32 = 64;

impl Op for CausalConv {
    fn name(&self) -> &'static str {
        "causal_conv"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, w] = take(inputs)?;
        let f32s = x.number == Number::F32 && w.number == Number::F32;
        fit(f32s && x.cols == w.cols && x.cols.is_multiple_of(4) && w.rows > 0, &[("x", &x), ("w", &w)])?;
        Ok(vec![x])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let [x, w, y] = [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?];
        let kernel = Link::new("causal_conv", rullama_quant::wgsl!("causal_conv.wgsl"), context.caps).constant("WG", WORKGROUP).kernel()?;
        let count = y.rows * y.cols / 4;
        let dispatch = context.recorder.dispatch(&kernel, spread(count.div_ceil(WORKGROUP), context.caps.max_groups));
        dispatch.param("count", count).param("dim", y.cols / 4).param("stride", x.stride / 4).param("offset", x.offset / 4);
        dispatch.param("w_stride", w.stride / 4).param("w_offset", w.offset / 4).param("taps", w.rows);
        dispatch.bind("x", &x.slice).bind("w", &w.slice).bind("y", &y.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, w, y] = operands else { panic!("causal_conv takes 3 operands") };
        let (x, w, y) = (x.tensor(), w.tensor(), y.tensor_mut());
        for t in 0..x.rows {
            for c in 0..x.cols {
                let tap = |j: usize| (t + j + 1).checked_sub(w.rows).map_or(0.0, |row| f64::from(w.row(j)[c]) * f64::from(x.row(row)[c]));
                y.row_mut(t)[c] = (0..w.rows).map(tap).sum::<f64>() as f32;
            }
        }
    }

    fn work(&self, inputs: &[Type], _: u32) -> u64 {
        u64::from(inputs[0].rows) * u64::from(inputs[0].cols) * u64::from(inputs[1].rows)
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        CausalConv.case(9, 20, 5)
    }
}

impl CausalConv {
    fn case(self, rows: usize, dim: usize, taps: usize) -> Case {
        let mut rng = Rng::new((rows * dim + taps) as u64 + 47);
        let operands = vec![rng.tensor(rows, dim).into(), rng.tensor(taps, dim).into(), Array::zeros(rows, dim).into()];
        Case::new(format!("{rows}x{dim}, {taps} taps"), self, operands, taps)
    }
}
