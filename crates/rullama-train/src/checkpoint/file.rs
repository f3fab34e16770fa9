//! A checkpoint as bytes.

use super::{CheckpointError, State, TargetShape};
use sha2::{Digest, Sha256};
use std::io::Write;

const MAGIC: &[u8; 8] = b"RULLATR1";
/// Bytes before the header: magic, length of the file, length of the header.
const HEAD: usize = 8 + 8 + 4;
const SUM: usize = 32;
/// Largest header: some hundred bytes a target.
const MOST_HEADER: usize = 16 << 20;

/// Values of a target: A and B, and of both the optimiser's two means.
pub type TargetValues = [Vec<f32>; 6];

/// A training state, whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    pub state: State,
    /// For each target in the state's order A, B, m of both, v of both.
    pub values: Vec<TargetValues>,
    /// A and B of the best evaluation, if there was one.
    pub best: Option<Vec<[Vec<f32>; 2]>>,
    /// Those to go back to after divergence.
    pub calm: Option<Vec<[Vec<f32>; 2]>>,
}

impl TargetShape {
    /// Values of A and of B.
    fn sizes(&self) -> Option<[u64; 2]> {
        let of = |n: u32| u64::from(self.rank).checked_mul(u64::from(n));
        Some([of(self.input)?, of(self.output)?])
    }
}

/// Values of all targets: 3 of each, and 1 more of each for `kept` states beside the last.
fn count(targets: &[TargetShape], kept: u64) -> Option<u64> {
    let one = targets.iter().try_fold(0u64, |sum, target| {
        let [a, b] = target.sizes()?;
        sum.checked_add(a.checked_add(b)?)
    })?;
    one.checked_mul(3 + kept)
}

/// Bytes that a checkpoint of these targets takes at most.
pub fn most_bytes(targets: &[TargetShape]) -> u64 {
    let header = 4096 + 256 * targets.len() as u64;
    // A calm state is kept where no best one is.
    HEAD as u64 + header + count(targets, 1).unwrap_or(u64::MAX / 8) * 4 + SUM as u64
}

impl Checkpoint {
    /// All of it, in order.
    fn all_values(&self) -> impl Iterator<Item = &Vec<f32>> {
        let kept = self.best.iter().chain(&self.calm).flatten().flatten();
        self.values.iter().flatten().chain(kept)
    }

    /// Writes it to `out`, which gets a name when all is written.
    ///
    /// # Errors
    /// A value that is no number; what `out` says.
    pub fn write(&self, name: &str, out: &mut impl Write) -> Result<(), CheckpointError> {
        if let Some(place) = self.values.iter().position(|target| target.iter().flatten().any(|v| !v.is_finite())) {
            let target = &self.state.targets[place];
            let layer = target.layer.map_or(String::new(), |layer| format!(" of layer {layer}"));
            return Err(CheckpointError::NotANumber { place: format!("{}{layer}", target.module) });
        }
        let failed = |source| CheckpointError::Io { name: name.into(), source };
        let header = serde_json::to_vec(&self.state).map_err(|e| CheckpointError::Order(e.to_string()))?;
        let values: u64 = self.all_values().map(|v| v.len() as u64).sum();
        let length = (HEAD + header.len() + SUM) as u64 + 4 * values;
        let mut hash = Sha256::new();
        let mut put = |bytes: &[u8]| {
            hash.update(bytes);
            out.write_all(bytes).map_err(failed)
        };
        put(MAGIC)?;
        put(&length.to_le_bytes())?;
        put(&(header.len() as u32).to_le_bytes())?;
        put(&header)?;
        for values in self.all_values() {
            for values in values.chunks(1 << 16) {
                put(&values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())?;
            }
        }
        let sum = hash.finalize();
        out.write_all(&sum).map_err(failed)
    }

    /// Reads and checks all of it.
    ///
    /// # Errors
    /// Bytes that are no checkpoint, or a damaged one.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, CheckpointError> {
        let not_one = |reason: &str| CheckpointError::NotOne { name: name.into(), reason: reason.into() };
        let damaged = |reason: String| CheckpointError::Damaged { name: name.into(), reason };
        if !bytes.starts_with(MAGIC) {
            return Err(not_one("it begins otherwise, or is of another version"));
        }
        let cut = || damaged("it is cut off".into());
        let length = bytes.get(8..16).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes).ok_or_else(cut)?;
        if length != bytes.len() as u64 || bytes.len() < HEAD + SUM {
            return Err(damaged(format!("it has {} bytes of {length}", bytes.len())));
        }
        let (body, sum) = bytes.split_at(bytes.len() - SUM);
        if Sha256::digest(body)[..] != *sum {
            return Err(damaged("its checksum differs".into()));
        }
        let size = body.get(16..HEAD).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes) as usize;
        let header = body[HEAD..].get(..size).filter(|_| size <= MOST_HEADER).ok_or_else(cut)?;
        let state: State = serde_json::from_slice(header).map_err(|e| not_one(&format!("its header is of another version: {e}")))?;
        let data = &body[HEAD + size..];
        let kept = u64::from(state.best.is_some()) + u64::from(state.calm.is_some());
        let wanted = count(&state.targets, kept).and_then(|n| n.checked_mul(4));
        if wanted != Some(data.len() as u64) {
            return Err(damaged("its values are not those of its targets".into()));
        }
        let mut floats = data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let mut take = |n: u64| -> Vec<f32> { floats.by_ref().take(n as usize).collect() };
        let sizes = || state.targets.iter().filter_map(TargetShape::sizes);
        let values = sizes().map(|[a, b]| [a, b, a, b, a, b].map(&mut take)).collect();
        let mut pairs = || sizes().map(|[a, b]| [a, b].map(&mut take)).collect();
        let (best, calm) = (state.best.map(|_| pairs()), state.calm.map(|_| pairs()));
        Ok(Checkpoint { state, values, best, calm })
    }
}

impl State {
    /// Whether a training of this identity and these targets may go on from it.
    ///
    /// # Errors
    /// [`CheckpointError::Other`], naming the first thing that differs.
    pub fn fits(&self, other: &State) -> Result<(), CheckpointError> {
        let (saved, given) = (&self.identity, &other.identity);
        let differ =
            |what: &str, saved: String, given: String, remedy| Err(CheckpointError::Other { what: what.into(), saved, given, remedy });
        if saved.model != given.model {
            return differ("model", saved.model_name.clone(), given.model_name.clone(), "Take the model that it was begun with.");
        }
        if saved.data != given.data {
            let told = |i: &super::Identity| format!("{} examples of digest {}", i.examples, i.data.get(..12).unwrap_or(&i.data));
            return differ("dataset", told(saved), told(given), "Take the data that it was begun with.");
        }
        let options = |i: &super::Identity| serde_json::to_value(&i.options).unwrap_or_default();
        let (a, b) = (options(saved), options(given));
        for (key, value) in a.as_object().into_iter().flatten() {
            // How often it is saved changes nothing of what is computed.
            if key != "checkpoint_seconds" && b.get(key) != Some(value) {
                let given = b.get(key).map(ToString::to_string).unwrap_or_default();
                return differ(&format!("option `{key}`"), value.to_string(), given, "Give the options that it was begun with.");
            }
        }
        if self.targets != other.targets {
            return differ(
                "set of targets",
                self.targets.len().to_string(),
                other.targets.len().to_string(),
                "Take the same model and options.",
            );
        }
        Ok(())
    }
}
