//! From names of single tensors to pairs.

use crate::{AdapterError, MAX_RANK, MAX_VALUES, Target};
use std::collections::BTreeMap;

/// Which matrix of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    A,
    B,
}

/// The tensors of a file that make pairs: their names, and what the reader knows of them.
#[derive(Default)]
pub(crate) struct Halves<T> {
    found: BTreeMap<Target, [Option<(String, T)>; 2]>,
}

/// A pair's two tensors.
pub(crate) struct Both<T> {
    pub a: (String, T),
    pub b: (String, T),
}

const AGAIN: &str = "Save the adapter again, or download it again.";

impl<T> Halves<T> {
    pub fn new() -> Self {
        Self { found: BTreeMap::new() }
    }

    /// Adds a tensor.
    ///
    /// # Errors
    /// [`AdapterError::Tensor`] where the half is there already.
    pub fn add(&mut self, file: &str, target: Target, half: Half, tensor: &str, about: T) -> Result<(), AdapterError> {
        let place = &mut self.found.entry(target).or_insert([None, None])[half as usize];
        match place.replace((tensor.to_owned(), about)) {
            None => Ok(()),
            Some((other, _)) => Err(AdapterError::Tensor {
                file: file.to_owned(),
                tensor: tensor.to_owned(),
                problem: format!("it is the same matrix of {target} as {other}"),
                remedy: "Save one adapter alone in the file.",
            }),
        }
    }

    /// The pairs.
    ///
    /// # Errors
    /// [`AdapterError::Tensor`] for a half alone.
    pub fn pairs(self, file: &str) -> Result<Vec<(Target, Both<T>)>, AdapterError> {
        let both = |(target, halves): (Target, [Option<(String, T)>; 2])| match halves {
            [Some(a), Some(b)] => Some(Ok((target, Both { a, b }))),
            [Some((tensor, _)), None] => Some(Err((tensor, target, "B"))),
            [None, Some((tensor, _))] => Some(Err((tensor, target, "A"))),
            [None, None] => None,
        };
        let pairs: Result<Vec<_>, _> = self.found.into_iter().filter_map(both).collect();
        pairs.map_err(|(tensor, target, other)| AdapterError::Tensor {
            file: file.to_owned(),
            tensor,
            problem: format!("the matrix {other} of {target} is missing"),
            remedy: AGAIN,
        })
    }
}

/// The rank of matrices `a: [rank, inputs]` and `b: [outputs, rank]`.
///
/// # Errors
/// [`AdapterError::Tensor`] where they do not fit, or the rank is no sensible one.
pub(crate) fn rank(file: &str, names: [&str; 2], a: [u32; 2], b: [u32; 2]) -> Result<u32, AdapterError> {
    let problem = match a[0] {
        rank if rank != b[1] => format!("its rank is {}, that of {} {rank}", b[1], names[0]),
        rank if !(1..=MAX_RANK).contains(&rank) => format!("its rank is {rank}, outside 1..={MAX_RANK}"),
        rank => return Ok(rank),
    };
    Err(AdapterError::Tensor { file: file.to_owned(), tensor: names[1].to_owned(), problem, remedy: AGAIN })
}

/// Adds up the values of all matrices before any is read.
///
/// # Errors
/// [`AdapterError::TooLarge`].
pub(crate) fn bounded(file: &str, shapes: impl Iterator<Item = [u32; 2]>) -> Result<(), AdapterError> {
    let value = shapes.fold(0u64, |sum, [rows, cols]| sum.saturating_add(u64::from(rows) * u64::from(cols)));
    if value > MAX_VALUES {
        return Err(AdapterError::TooLarge { file: file.to_owned(), what: "values of all matrices", value, limit: MAX_VALUES });
    }
    Ok(())
}
