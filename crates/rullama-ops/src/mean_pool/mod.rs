//! Means of runs of rows.

use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use, spread};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

#[cfg(feature = "cases")]
pub mod cases;

/// `y[i] = mean` of the rows `spans[2 i] .. spans[2 i + 1]` of `x`; zeros where there are none.
///
/// Operands: `x: [rows, dim]`, words `spans: [2 * texts]`, or more, out `y: [texts, dim]`. Source: Reimers & Gurevych 2019.
#[derive(Debug, Clone)]
pub struct MeanPool {
    pub texts: u32,
}

impl Graph {
    /// Means `[texts, dim]` of runs of the rows of `x: [rows, dim]`.
    pub fn mean_pool(&mut self, x: Value, spans: Value, texts: u32) -> Value {
        self.one(MeanPool { texts }, &[x, spans])
    }
}

const WORKGROUP: u32 = 64;

impl Op for MeanPool {
    fn name(&self) -> &'static str {
        "mean_pool"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x, spans] = take(inputs)?;
        let words = spans.number == Number::Words && (spans.cols == 0 || spans.cols >= 2 * self.texts);
        fit(x.number == Number::F32 && x.cols.is_multiple_of(4) && words, &[("x", &x), ("spans", &spans)])?;
        Ok(vec![Type::f32(self.texts, x.cols)])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let (x, spans, y) = (operands[0].tensor()?, operands[1].words()?, operands[2].tensor()?);
        if spans.size < u64::from(self.texts) * 8 {
            let message = format!("`spans` has {} words for {} texts", spans.size / 4, self.texts);
            return Err(GpuError::Validation { what: "operands of `mean_pool`".into(), message });
        }
        let kernel = Link::new("mean_pool", rullama_quant::wgsl!("mean_pool.wgsl"), context.caps).constant("WG", WORKGROUP).kernel()?;
        let count = y.rows * y.cols / 4;
        let dispatch = context.recorder.dispatch(&kernel, spread(count.div_ceil(WORKGROUP), context.caps.max_groups));
        dispatch.param("count", count).param("dim", y.cols / 4).param("rows", x.rows);
        dispatch.param("stride", x.stride / 4).param("offset", x.offset / 4);
        dispatch.bind("x", &x.slice).bind("spans", spans).bind("y", &y.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, spans, y] = operands else { panic!("mean_pool takes 3 operands") };
        let (x, y) = (x.tensor(), y.tensor_mut());
        for (text, span) in spans.words().chunks_exact(2).enumerate().take(y.rows) {
            let rows = span[0] as usize..(span[1] as usize).min(x.rows);
            for column in 0..x.cols {
                let sum: f64 = rows.clone().map(|row| f64::from(x.row(row)[column])).sum();
                y.row_mut(text)[column] = if rows.is_empty() { 0.0 } else { (sum / rows.len() as f64) as f32 };
            }
        }
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        MeanPool { texts: 3 }.case(64, &[(0, 5), (5, 6), (6, 17)], 19)
    }
}

impl MeanPool {
    fn case(self, dim: usize, spans: &[(u32, u32)], rows: usize) -> Case {
        let x = Rng::new((rows * dim) as u64).tensor(rows, dim);
        let longest = spans.iter().map(|span| span.1.saturating_sub(span.0)).max().unwrap_or(1);
        let words = Host::Words(spans.iter().flat_map(|span| [span.0, span.1]).collect());
        let operands = vec![x.into(), words, Array::zeros(self.texts as usize, dim).into()];
        Case::new(format!("{spans:?} of {rows}x{dim}"), self, operands, longest.max(1) as usize)
    }
}
