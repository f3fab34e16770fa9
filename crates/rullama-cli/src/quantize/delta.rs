//! What adapters add to a tensor.

use rullama_adapter::{Adapter, Target};
use std::ops::Range;
use std::sync::Arc;

/// The term of one adapter's pair.
#[derive(Debug, Clone)]
pub struct Term {
    pub adapter: Arc<Adapter>,
    pub target: Target,
    /// The person's scale, beside the pair's own.
    pub factor: f32,
    /// Rows of the tensor that the weight is.
    pub rows: Range<u64>,
}

/// The sum of terms that is added to a tensor of rows of `cols` values.
#[derive(Debug, Clone)]
pub struct Delta {
    pub cols: u64,
    pub terms: Vec<Term>,
}

impl Delta {
    /// Adds it to values that begin at the tensor's `first`.
    pub fn add(&self, first: u64, values: &mut [f32]) {
        let end = first + values.len() as u64;
        for term in &self.terms {
            let Some(pair) = term.adapter.pairs.get(&term.target) else { continue };
            let start = term.rows.start * self.cols;
            let own = start.max(first)..(term.rows.end * self.cols).min(end);
            if own.start < own.end {
                let here = &mut values[(own.start - first) as usize..(own.end - first) as usize];
                pair.add_to(term.factor, term.target.is_table(), own.start - start, here);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rullama_adapter::{Module, Pair};

    #[test]
    fn terms_on_their_rows() {
        let mut adapter = Adapter::default();
        for (module, rows) in [(Module::Q, 3), (Module::K, 2)] {
            let pair = Pair::new(1, 1.0, false, vec![1.0, 10.0], (1..=rows).map(|row| row as f32).collect());
            adapter.pairs.insert(Target::layer(0, module), pair);
        }
        let adapter = Arc::new(adapter);
        let term = |module, rows, factor| Term { adapter: adapter.clone(), target: Target::layer(0, module), factor, rows };
        let delta = Delta { cols: 2, terms: vec![term(Module::Q, 0..3, 1.0), term(Module::K, 3..5, 2.0), term(Module::Q, 0..3, 0.5)] };
        let expected = [1.5, 15.0, 3.0, 30.0, 4.5, 45.0, 2.0, 20.0, 4.0, 40.0, 0.0, 0.0];
        for first in 0..expected.len() {
            for end in first..=expected.len() {
                let mut values = vec![0.0; end - first];
                delta.add(first as u64, &mut values);
                assert_eq!(values, expected[first..end], "{first}..{end}");
            }
        }
    }
}
