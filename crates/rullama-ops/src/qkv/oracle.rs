//! What the oracles share: norm and rotation of the heads in a row, and the way into a cache.

use super::rope::ROPE_LOW;
use crate::host::{Array, HostCache, root_mean_square};
use crate::op::state;

/// Position and real tokens of a step.
pub(crate) fn step(words: &[u32]) -> (usize, usize) {
    (words[state::POSITION as usize] as usize, words[state::TOKENS as usize] as usize)
}

/// Row t of `x` to position `step + t`, for the step's real tokens.
pub(super) fn store(cache: &mut HostCache, x: &Array, words: &[u32]) {
    let (position, tokens) = step(words);
    for t in 0..tokens.min(x.rows) {
        cache.store(position + t, x.row(t));
    }
}

/// `RMS(x)` of each head in a row.
pub(super) fn normed(row: &[f32], head_dim: usize, eps: f32) -> Vec<f64> {
    let heads = row.chunks_exact(head_dim);
    heads
        .flat_map(|head| {
            let scale = 1.0 / root_mean_square(head, eps);
            head.iter().map(move |&x| f64::from(x) * scale)
        })
        .collect()
}

/// Rotation by the two tables of [`rope_tables`](super::rope_tables).
pub(super) struct Rotation<'a> {
    pub head_dim: usize,
    pub low: &'a Array,
    pub high: &'a Array,
}

impl Rotation<'_> {
    /// Pair i of each head turned by the sum of the two angles that the tables hold for `position`.
    pub fn rotate(&self, row: &[f64], position: usize) -> Vec<f64> {
        let half = self.head_dim / 2;
        let angle = |table: &Array, row: usize, i: usize| f64::from(table.row(row)[half + i]).atan2(f64::from(table.row(row)[i]));
        let rows = (position % ROPE_LOW as usize, position / ROPE_LOW as usize);
        let mut out = Vec::with_capacity(row.len());
        for x in row.chunks_exact(self.head_dim) {
            let turned = |i: usize| (angle(self.low, rows.0, i) + angle(self.high, rows.1, i)).sin_cos();
            out.extend((0..half).map(|i| x[i] * turned(i).1 - x[half + i] * turned(i).0));
            out.extend((0..half).map(|i| x[half + i] * turned(i).1 + x[i] * turned(i).0));
        }
        out
    }
}
