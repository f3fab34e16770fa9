//! The definitions, in f64.

use super::SelfAttention;
use crate::host::Array;
use std::ops::RangeInclusive;

/// Queries and keys of a step.
pub(super) struct Step<'a> {
    pub op: &'a SelfAttention,
    pub q: &'a Array,
    pub k: &'a Array,
    pub starts: &'a [u32],
}

/// What gradients are made from besides.
pub(super) struct Given<'a> {
    pub v: &'a Array,
    pub dy: &'a Array,
    pub lse: &'a Array,
    pub delta: &'a Array,
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn add(sum: &mut [f64], weight: f64, x: &[f32]) {
    sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += weight * f64::from(*x));
}

impl Step<'_> {
    /// Keys that token t sees; none where it is padding.
    fn seen(&self, t: usize) -> Option<RangeInclusive<usize>> {
        let start = self.starts[t] as usize;
        let first = self.op.window.map_or(start, |window| start.max((t + 1).saturating_sub(window as usize)));
        (start <= t).then_some(first..=t)
    }

    /// Row t of head `head`.
    fn head<'b>(&self, of: &'b Array, t: usize, head: usize) -> &'b [f32] {
        let n = self.op.head_dim as usize;
        &of.row(t)[head * n..][..n]
    }

    /// The head of keys that `head` reads.
    fn keys_of(&self, head: usize) -> usize {
        head / self.op.shared_by() as usize
    }

    fn score(&self, t: usize, j: usize, head: usize) -> f64 {
        dot(self.head(self.q, t, head), self.head(self.k, j, self.keys_of(head)))
    }

    pub fn forward(&self, v: &Array, y: &mut Array, lse: &mut Array) {
        y.data.fill(0.0);
        lse.data.fill(0.0);
        let n = self.op.head_dim as usize;
        for t in 0..self.q.rows {
            let Some(keys) = self.seen(t) else { continue };
            for head in 0..self.op.heads as usize {
                let scores: Vec<f64> = keys.clone().map(|j| self.score(t, j, head)).collect();
                let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let log = best + scores.iter().map(|s| (s - best).exp()).sum::<f64>().ln();
                let mut sum = vec![0.0; n];
                keys.clone().zip(&scores).for_each(|(j, s)| add(&mut sum, (s - log).exp(), self.head(v, j, self.keys_of(head))));
                y.row_mut(t)[head * n..][..n].iter_mut().zip(sum).for_each(|(y, sum)| *y = sum as f32);
                lse.row_mut(t)[head] = log as f32;
            }
        }
    }

    /// P and dS of each query and key that it sees.
    fn pairs(&self, given: &Given, mut each: impl FnMut(usize, usize, usize, [f64; 2])) {
        for t in 0..self.q.rows {
            let Some(keys) = self.seen(t) else { continue };
            for head in 0..self.op.heads as usize {
                for j in keys.clone() {
                    let p = (self.score(t, j, head) - f64::from(given.lse.row(t)[head])).exp();
                    let dp = dot(self.head(given.dy, t, head), self.head(given.v, j, self.keys_of(head)));
                    each(t, j, head, [p, p * (dp - f64::from(given.delta.row(t)[head]))]);
                }
            }
        }
    }

    pub fn back_query(&self, given: &Given, dq: &mut Array) {
        let n = self.op.head_dim as usize;
        let mut sums = vec![0.0; dq.data.len()];
        self.pairs(given, |t, j, head, [_, ds]| {
            add(&mut sums[t * dq.cols + head * n..][..n], ds, self.head(self.k, j, self.keys_of(head)));
        });
        dq.data = sums.into_iter().map(|sum| sum as f32).collect();
    }

    pub fn back_keys(&self, given: &Given, dk: &mut Array, dv: &mut Array) {
        let n = self.op.head_dim as usize;
        let mut sums = [vec![0.0; dk.data.len()], vec![0.0; dv.data.len()]];
        self.pairs(given, |t, j, head, [p, ds]| {
            let at = j * dk.cols + self.keys_of(head) * n;
            add(&mut sums[0][at..][..n], ds, self.head(self.q, t, head));
            add(&mut sums[1][at..][..n], p, self.head(given.dy, t, head));
        });
        let [keys, values] = sums.map(|sums| sums.into_iter().map(|sum| sum as f32).collect());
        (dk.data, dv.data) = (keys, values);
    }
}
