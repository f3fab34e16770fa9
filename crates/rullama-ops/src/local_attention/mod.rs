//! Attention to the last rows, with a key for each distance.

use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use, spread};
use crate::shader::Link;
use crate::tolerance::EPSILON;
use rullama_gpu::{Caps, GpuError};

#[cfg(feature = "cases")]
pub mod cases;

/// `y[t] = softmax_d(cap tanh((q[t] (k[t - d] + r[d])^T) / cap)) v[t - d]` per head, over the distances `d < span` with `d <= t`.
///
/// Operands: `q`, `k`, `v: [rows, heads * head_dim]`, `r: [span, heads * head_dim]`, out `y: [rows, heads * head_dim]`. Scores are not
/// scaled. Sums in f32. Source: Dai et al. 2019 (relative positions); Gemma 4's audio encoder, whose blocks of queries with masks come
/// to this.
#[derive(Debug, Clone)]
pub struct LocalAttention {
    pub heads: u32,
    /// A multiple of 4.
    pub head_dim: u32,
    /// The cap on scores.
    pub cap: f32,
}

impl Graph {
    /// Attention of `q: [rows, heads * head_dim]` over the keys and values of the same and the rows before, with `r: [span, heads *
    /// head_dim]` added to the keys by distance.
    pub fn local_attention(&mut self, op: LocalAttention, q: Value, [k, v]: [Value; 2], r: Value) -> Value {
        self.one(op, &[q, k, v, r])
    }
}

const WORKGROUP: u32 = 128;

/// Scores of a row that workgroup memory holds: 8 KiB of the 16 that WebGPU guarantees.
const MAX_SCORES: u32 = 2048;

impl Op for LocalAttention {
    fn name(&self) -> &'static str {
        "local_attention"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [q, k, v, r] = take(inputs)?;
        let n = self.head_dim;
        let scores = self.heads.checked_mul(r.rows).filter(|scores| (1..=MAX_SCORES).contains(scores));
        if n == 0 || !n.is_multiple_of(4) || scores.is_none() {
            return Err(format!("{} heads of {n} over {} rows: a head is a multiple of 4, scores are up to {MAX_SCORES}", self.heads, r.rows));
        }
        if self.cap.is_nan() || self.cap <= 0.0 {
            return Err(format!("scores capped at {}", self.cap));
        }
        let fits = q.number == Number::F32 && q.cols == self.heads * n && q == k && q == v && r == Type::f32(r.rows, q.cols);
        fit(fits, &[("q", &q), ("k", &k), ("v", &v), ("r", &r)])?;
        Ok(vec![q])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let [q, k, v, r, y] =
            [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?, operands[3].tensor()?, operands[4].tensor()?];
        let kernel = Link::new("local_attention", rullama_quant::wgsl!("local_attention.wgsl"), context.caps)
            .constant("HEADS", self.heads)
            .constant("QUADS", self.head_dim / 4)
            .constant("SPAN", r.rows)
            .constant("WG", WORKGROUP)
            .kernel()?;
        let dispatch = context.recorder.dispatch(&kernel, spread(q.rows, context.caps.max_groups));
        dispatch.param("rows", q.rows).param("cap", self.cap);
        dispatch.param("q_stride", q.stride / 4).param("q_offset", q.offset / 4).param("k_stride", k.stride / 4).param("k_offset", k.offset / 4);
        dispatch.param("v_stride", v.stride / 4).param("v_offset", v.offset / 4).param("r_stride", r.stride / 4).param("r_offset", r.offset / 4);
        dispatch.bind("q", &q.slice).bind("k", &k.slice).bind("v", &v.slice).bind("r", &r.slice).bind("y", &y.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [q, k, v, r, y] = operands else { panic!("local_attention takes 5 operands") };
        let (q, k, v, r, y) = (q.tensor(), k.tensor(), v.tensor(), r.tensor(), y.tensor_mut());
        let (n, cap) = (self.head_dim as usize, f64::from(self.cap));
        for t in 0..q.rows {
            for head in 0..self.heads as usize {
                let at = |of: &Array, row: usize, i: usize| f64::from(of.row(row)[head * n + i]);
                let seen: Vec<usize> = (0..r.rows).filter(|d| *d <= t).collect();
                let content = |d: usize| (0..n).map(|i| at(q, t, i) * at(k, t - d, i)).sum::<f64>();
                let place = |d: usize| (0..n).map(|i| at(q, t, i) * at(r, d, i)).sum::<f64>();
                let weights: Vec<f64> = seen.iter().map(|&d| (cap * ((content(d) + place(d)) / cap).tanh()).exp()).collect();
                let sum: f64 = weights.iter().sum();
                for i in 0..n {
                    let value: f64 = seen.iter().zip(&weights).map(|(&d, weight)| weight / sum * at(v, t - d, i)).sum();
                    y.row_mut(t)[head * n + i] = value as f32;
                }
            }
        }
    }

    fn work(&self, inputs: &[Type], _: u32) -> u64 {
        3 * u64::from(inputs[0].rows) * u64::from(inputs[0].cols) * u64::from(inputs[3].rows)
    }

    fn kernels(&self, inputs: &[Type], _: &Caps) -> String {
        format!("{} heads of {} over {}", self.heads, self.head_dim, inputs[3].rows)
    }

    fn smoke(&self, inputs: &[Type]) -> Case {
        self.clone().case(inputs[3].rows as usize + 3, inputs[3].rows as usize)
    }
}

impl LocalAttention {
    /// Scores of a few units, so that several keys count and the cap bends them.
    fn case(self, rows: usize, span: usize) -> Case {
        let (n, width) = (self.head_dim as usize, (self.heads * self.head_dim) as usize);
        let mut rng = Rng::new((rows * width + span) as u64 + 53);
        let q = rng.tensor_scaled(rows, width, 6.0 / (n as f32).sqrt());
        let mut operands: Vec<Host> = vec![q.into()];
        operands.extend([rows, rows, span].map(|rows| Host::from(rng.tensor(rows, width))));
        operands.push(Array::zeros(rows, width).into());
        // A score of up to 10 is off by some 10 roundings of its sum, and by the cap's tanh (1e-5 of the cap); its weight by as much.
        let tolerance = 64.0 * EPSILON * ((n + span) as f32).sqrt() + 2e-5 * self.cap;
        Case::new(format!("{} heads of {n}, {rows} rows over {span}", self.heads), self, operands, n).tolerance(tolerance)
    }
}
