//! [`Adapter`]: pairs of low-rank matrices by the linear layers that they belong to.

use crate::{AdapterError, Target};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Largest rank of a pair.
pub const MAX_RANK: u32 = 4096;
/// Most values of all pairs together: 4 GiB of f32.
pub const MAX_VALUES: u64 = 1 << 30;

/// The low-rank term of one linear layer: `y += scale * B (A x)`.
///
/// Of the embedding it is `table[id] += scale * B A[:, id]`, so that `inputs` is the vocabulary and `outputs`
/// the width.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    pub rank: u32,
    /// `alpha / rank`, with rank-stabilised LoRA `alpha / sqrt(rank)`.
    pub scale: f32,
    pub alpha: f32,
    /// `[rank, inputs]`, row-major.
    pub a: Vec<f32>,
    /// `[outputs, rank]`, row-major.
    pub b: Vec<f32>,
    pub inputs: u32,
    pub outputs: u32,
}

/// What a file is made as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `adapter_config.json` and `adapter_model.safetensors`.
    Peft,
    /// A GGUF file of type `adapter`.
    Gguf,
    /// The safetensors file of rullama 0.4 and 0.5.
    Rullama,
}

/// What an adapter tells of itself beside its pairs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Info {
    /// Rank of most pairs.
    pub rank: u32,
    /// Alpha of most pairs.
    pub alpha: f32,
    /// Scales are `alpha / sqrt(rank)`.
    pub rslora: bool,
    /// Share of the branch's inputs that training left out.
    pub dropout: f32,
    /// The model that it was trained on, as its file calls it.
    pub base: Option<String>,
    /// The form that it was read from.
    pub form: Option<Form>,
    /// Tensors of its file that are not in [`Adapter::pairs`]: vision and audio towers, copies of base weights.
    pub left_out: Vec<String>,
}

/// A LoRA adapter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adapter {
    pub name: String,
    pub pairs: BTreeMap<Target, Pair>,
    pub info: Info,
}

impl Pair {
    /// A pair with its scale: `alpha / rank`, or `alpha / sqrt(rank)` where `rslora`.
    ///
    /// `inputs` and `outputs` follow from the lengths of `a` and `b`; [`Adapter::check`] tells whether they fit.
    pub fn new(rank: u32, alpha: f32, rslora: bool, a: Vec<f32>, b: Vec<f32>) -> Self {
        let of = |values: &[f32]| u32::try_from(values.len() / rank.max(1) as usize).unwrap_or(u32::MAX);
        let (inputs, outputs) = (of(&a), of(&b));
        Self { rank, scale: scale(alpha, rank, rslora), alpha, a, b, inputs, outputs }
    }

    /// Adds `factor * scale * B A` to a run of the weight's values, computed in f32.
    ///
    /// The weight is `[outputs, inputs]` row-major, a table (the embedding) `[inputs, outputs]`; `first` is the place of
    /// `values[0]` in it. What lies outside of the weight is left alone.
    pub fn add_to(&self, factor: f32, table: bool, first: u64, values: &mut [f32]) {
        let cols = u64::from(if table { self.outputs } else { self.inputs });
        let scale = (f64::from(factor) * f64::from(self.scale)) as f32;
        let mut row = vec![0.0; cols as usize];
        let (mut at, mut rest) = (first, values);
        while !rest.is_empty() && cols > 0 {
            let (y, x) = ((at / cols) as usize, (at % cols) as usize);
            let len = rest.len().min(cols as usize - x);
            let (piece, others) = rest.split_at_mut(len);
            let delta = &mut row[x..x + len];
            delta.fill(0.0);
            if table {
                self.table_row(y, x, delta)
            } else {
                self.weight_row(y, x, delta)
            }
            piece.iter_mut().zip(delta).for_each(|(value, delta)| *value += scale * *delta);
            (at, rest) = (at + len as u64, others);
        }
    }

    /// `(B A)[y, x..]`.
    fn weight_row(&self, y: usize, x: usize, delta: &mut [f32]) {
        let (rank, cols) = (self.rank as usize, self.inputs as usize);
        let Some(b) = self.b.get(y * rank..(y + 1) * rank) else { return };
        for (b, a) in b.iter().zip(self.a.chunks_exact(cols)) {
            delta.iter_mut().zip(&a[x..]).for_each(|(delta, a)| *delta += b * a);
        }
    }

    /// `(B A)[x.., y]`.
    fn table_row(&self, y: usize, x: usize, delta: &mut [f32]) {
        let column: Vec<f32> = self.a.chunks_exact(self.inputs as usize).filter_map(|a| a.get(y).copied()).collect();
        for (delta, b) in delta.iter_mut().zip(self.b.chunks_exact(self.rank as usize).skip(x)) {
            *delta = b.iter().zip(&column).map(|(b, a)| b * a).sum();
        }
    }

    fn problem(&self) -> Option<String> {
        if !(1..=MAX_RANK).contains(&self.rank) {
            return Some(format!("its rank is {}, outside 1..={MAX_RANK}", self.rank));
        }
        let is = |values: &[f32], size: u32| values.len() as u64 == u64::from(self.rank) * u64::from(size) && size > 0;
        if !is(&self.a, self.inputs) || !is(&self.b, self.outputs) {
            return Some(format!(
                "{} and {} values do not make [{}, {}] and [{}, {}]",
                self.a.len(),
                self.b.len(),
                self.rank,
                self.inputs,
                self.outputs,
                self.rank
            ));
        }
        if !self.scale.is_finite() || !self.alpha.is_finite() {
            return Some(format!("its alpha is {}, its scale {}", self.alpha, self.scale));
        }
        let bad = self.a.iter().chain(&self.b).find(|value| !value.is_finite());
        bad.map(|bad| format!("it holds the value {bad}"))
    }
}

/// `alpha / rank` or `alpha / sqrt(rank)`.
pub(crate) fn scale(alpha: f32, rank: u32, rslora: bool) -> f32 {
    let rank = f64::from(rank);
    (f64::from(alpha) / if rslora { rank.sqrt() } else { rank }) as f32
}

impl Adapter {
    /// Checks ranks, lengths and values of all pairs.
    ///
    /// # Errors
    /// [`AdapterError::Form`] naming the first pair that cannot be.
    pub fn check(&self) -> Result<(), AdapterError> {
        let wrong = |what: String| AdapterError::Form {
            adapter: self.name.clone(),
            what,
            remedy: "Train it again from the last checkpoint that is right, or get it again.",
        };
        if self.pairs.is_empty() {
            return Err(wrong("it holds no pair of matrices".to_owned()));
        }
        let (target, problem) = match self.pairs.iter().find_map(|(target, pair)| Some((target, pair.problem()?))) {
            None => return Ok(()),
            Some(found) => found,
        };
        Err(wrong(format!("{target}: {problem}")))
    }

    /// Holds every pair to a model: `shape` gives `(inputs, outputs)` of a linear layer, of the embedding
    /// `(vocabulary, width)`, and `None` where the model has none; a pair that adds nothing (`b` is zero) may be for none.
    ///
    /// # Errors
    /// [`AdapterError::OtherModel`] naming the first that does not fit.
    pub fn check_against(&self, shape: impl Fn(&Target) -> Option<(u32, u32)>) -> Result<(), AdapterError> {
        for (target, pair) in &self.pairs {
            let problem = match shape(target) {
                // Trainers put pairs on keys and values of layers that share them, and never move those.
                None if pair.b.iter().all(|value| *value == 0.0) => continue,
                None => "does not exist in it".to_owned(),
                Some((inputs, outputs)) if (inputs, outputs) == (pair.inputs, pair.outputs) => continue,
                Some((inputs, outputs)) => {
                    format!("has {inputs} inputs and {outputs} outputs in it, the adapter {} and {}", pair.inputs, pair.outputs)
                }
            };
            return Err(AdapterError::OtherModel { adapter: self.name.clone(), target: *target, problem });
        }
        Ok(())
    }

    /// SHA-256 over everything that the model computes with: targets, shapes, scales and values; not the name.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for (target, pair) in &self.pairs {
            hash.update(target.gguf_name());
            hash.update([0]);
            for number in [pair.rank, pair.inputs, pair.outputs, pair.scale.to_bits()] {
                hash.update(number.to_le_bytes());
            }
            for values in [&pair.a, &pair.b] {
                let mut bytes = Vec::with_capacity(4096);
                for values in values.chunks(1024) {
                    bytes.clear();
                    values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
                    hash.update(&bytes);
                }
            }
        }
        hash.finalize().into()
    }

    /// Trained values of all pairs.
    pub fn values(&self) -> u64 {
        self.pairs.values().map(|pair| (pair.a.len() + pair.b.len()) as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Module;

    fn pair(table: bool) -> Pair {
        let (inputs, outputs) = if table { (5, 3) } else { (3, 5) };
        let a = (0..2 * inputs).map(|i| i as f32 - 2.5).collect();
        let b = (0..2 * outputs).map(|i| 0.25 * i as f32).collect();
        Pair::new(2, 3.0, false, a, b)
    }

    #[test]
    fn every_run_of_a_weight() {
        for table in [false, true] {
            let pair = pair(table);
            let (rows, cols) = (5, 3);
            let expected: Vec<f32> = (0..rows * cols)
                .map(|i| {
                    let (o, i) = if table { (i % cols, i / cols) } else { (i / cols, i % cols) };
                    let inputs = pair.inputs as usize;
                    0.5 * 1.5 * (0..2).map(|r| pair.b[o * 2 + r] * pair.a[r * inputs + i]).sum::<f32>()
                })
                .collect();
            for first in 0..rows * cols {
                for end in first..=rows * cols {
                    let mut values = vec![1.0; end - first];
                    pair.add_to(0.5, table, first as u64, &mut values);
                    for (value, expected) in values.iter().zip(&expected[first..end]) {
                        assert!((value - 1.0 - expected).abs() < 1e-5, "{table} {first}..{end}");
                    }
                }
            }
        }
    }

    #[test]
    fn scales() {
        assert_eq!(Pair::new(4, 8.0, false, vec![0.0; 4], vec![0.0; 4]).scale, 2.0);
        assert_eq!(Pair::new(4, 8.0, true, vec![0.0; 4], vec![0.0; 4]).scale, 4.0);
    }

    fn adapter() -> Adapter {
        let pairs = [(Target::layer(0, Module::Q), pair(false))].into_iter().collect();
        Adapter { name: "a".into(), pairs, info: Info::default() }
    }

    #[test]
    fn digests_tell_contents_apart_and_not_names() {
        let base = adapter();
        let changed = |change: &dyn Fn(&mut Adapter)| {
            let mut other = adapter();
            change(&mut other);
            other.digest()
        };
        assert_eq!(changed(&|a| a.name = "b".into()), base.digest());
        let first = |a: &mut Adapter| a.pairs.pop_first().unwrap().1;
        let all = [
            base.digest(),
            changed(&|a| a.pairs.values_mut().for_each(|pair| pair.a[0] += 1.0)),
            changed(&|a| a.pairs.values_mut().for_each(|pair| pair.b[9] += 1.0)),
            changed(&|a| a.pairs.values_mut().for_each(|pair| pair.scale = 1.0)),
            changed(&|a| a.pairs = [(Target::layer(0, Module::K), first(a))].into_iter().collect()),
            changed(&|a| a.pairs = [(Target::layer(1, Module::Q), first(a))].into_iter().collect()),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn pairs_that_cannot_be() {
        assert!(adapter().check().is_ok());
        assert!(Adapter::default().check().is_err());
        let wrong: [&dyn Fn(&mut Pair); 6] = [
            &|pair| pair.rank = 0,
            &|pair| pair.rank = MAX_RANK + 1,
            &|pair| pair.inputs = 4,
            &|pair| pair.b.truncate(9),
            &|pair| pair.a[1] = f32::NAN,
            &|pair| pair.scale = f32::INFINITY,
        ];
        for change in wrong {
            let mut adapter = adapter();
            adapter.pairs.values_mut().for_each(change);
            let message = adapter.check().unwrap_err().to_string();
            assert!(message.contains("layers.0.self_attn.q_proj"), "{message}");
        }
    }

    #[test]
    fn another_model_is_told_by_the_target() {
        let adapter = adapter();
        adapter.check_against(|_| Some((3, 5))).unwrap();
        let message = adapter.check_against(|_| Some((3, 6))).unwrap_err().to_string();
        assert!(message.contains("layers.0.self_attn.q_proj (blk.0.attn_q)") && message.contains("6 outputs"), "{message}");
        assert!(adapter.check_against(|_| None).unwrap_err().to_string().contains("does not exist"));
        let mut idle = adapter;
        idle.pairs.values_mut().for_each(|pair| pair.b.fill(0.0));
        idle.check_against(|_| None).unwrap();
        assert!(idle.check_against(|_| Some((1, 1))).is_err());
    }
}
