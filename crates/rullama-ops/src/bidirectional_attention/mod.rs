//! Attention of all rows to each other.

use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use};
use crate::self_attention::{MAX_HEAD_DIM, kernels};
use crate::tolerance::EPSILON;
use rullama_gpu::{Caps, GpuError};

#[cfg(feature = "cases")]
pub mod cases;

/// `y = softmax(q K^T) V` per row and head, over all rows, with scores unscaled.
///
/// Operands: `q`, `k`, `v: [rows, heads * head_dim]`, out `y: [rows, heads * head_dim]`.
/// Source: Vaswani et al. 2017; Dao et al. 2022 (tiles).
#[derive(Debug, Clone)]
pub struct BidirectionalAttention {
    pub heads: u32,
    /// A multiple of 4, at most 512.
    pub head_dim: u32,
}

impl Graph {
    /// Attention of `q: [rows, heads * head_dim]` over the keys and values of the same rows.
    pub fn bidirectional_attention(&mut self, op: BidirectionalAttention, q: Value, [k, v]: [Value; 2]) -> Value {
        self.one(op, &[q, k, v])
    }
}

impl Op for BidirectionalAttention {
    fn name(&self) -> &'static str {
        "bidirectional_attention"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Read, Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [q, k, v] = take(inputs)?;
        let n = self.head_dim;
        if n == 0 || !n.is_multiple_of(4) || n > MAX_HEAD_DIM || self.heads == 0 {
            return Err(format!("{} heads of {n}: a head is a multiple of 4 up to {MAX_HEAD_DIM}", self.heads));
        }
        let fits = q.number == Number::F32 && q.cols == self.heads * n && q.rows > 0 && q == k && q == v;
        fit(fits, &[("q", &q), ("k", &k), ("v", &v)])?;
        Ok(vec![q])
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        kernels::variants(caps)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let naive = context.variant(self, operands)? == "naive";
        let [q, k, v, y] = [operands[0].tensor()?, operands[1].tensor()?, operands[2].tensor()?, operands[3].tensor()?];
        let seen = (self.name(), rullama_quant::wgsl!("seen.wgsl"));
        kernels::record(context, seen, [self.heads, self.head_dim], [q, k, v, y], naive)?;
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [q, k, v, y] = operands else { panic!("bidirectional_attention takes 4 operands") };
        let (q, k, v, y) = (q.tensor(), k.tensor(), v.tensor(), y.tensor_mut());
        let n = self.head_dim as usize;
        for t in 0..q.rows {
            for head in 0..self.heads as usize {
                let part = |of: &'_ Array, row: usize, i: usize| f64::from(of.row(row)[head * n + i]);
                let score = |j: usize| (0..n).map(|i| part(q, t, i) * part(k, j, i)).sum::<f64>();
                let scores: Vec<f64> = (0..q.rows).map(score).collect();
                let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|s| (s - best).exp()).collect();
                let sum: f64 = weights.iter().sum();
                for i in 0..n {
                    let value: f64 = weights.iter().enumerate().map(|(j, weight)| weight / sum * part(v, j, i)).sum();
                    y.row_mut(t)[head * n + i] = value as f32;
                }
            }
        }
    }

    fn work(&self, inputs: &[Type], _: u32) -> u64 {
        2 * u64::from(inputs[0].rows) * u64::from(inputs[0].rows) * u64::from(inputs[0].cols)
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        format!("heads of {}", self.head_dim)
    }

    fn smoke(&self, _: &[Type]) -> Case {
        BidirectionalAttention { heads: self.heads.min(2), head_dim: self.head_dim }.case(40)
    }
}

impl BidirectionalAttention {
    /// Scores of a few units, so that several keys count.
    fn case(self, rows: usize) -> Case {
        let (n, width) = (self.head_dim as usize, (self.heads * self.head_dim) as usize);
        let mut rng = Rng::new((rows * width) as u64 + 31);
        let q = rng.tensor_scaled(rows, width, 6.0 / (n as f32).sqrt());
        let operands = vec![q.into(), rng.tensor(rows, width).into(), rng.tensor(rows, width).into(), Array::zeros(rows, width).into()];
        // A score of up to 10 is off by some 10 roundings of its sum, and so is its weight.
        let tolerance = 64.0 * EPSILON * ((n + rows) as f32).sqrt();
        Case::new(format!("{} heads of {n}, {rows} rows", self.heads), self, operands, n).tolerance(tolerance)
    }
}
