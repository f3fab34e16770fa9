//! Which examples are kept for evaluation, and the order of the rest.

use super::DataError;
use crate::random::{Purpose, Stream};

/// Places of examples, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    pub train: Vec<u32>,
    pub eval: Vec<u32>,
}

/// Keeps `share` of `examples` examples for evaluation, chosen by the seed: at least one and never all. A share of 0
/// keeps none.
///
/// # Errors
/// [`DataError::TooFewToSplit`].
pub fn split(examples: usize, share: f64, seed: u64) -> Result<Split, DataError> {
    let all = examples as u32;
    if share <= 0.0 {
        return Ok(Split { train: (0..all).collect(), eval: Vec::new() });
    }
    if examples < 2 {
        return Err(DataError::TooFewToSplit { examples });
    }
    let kept = ((f64::from(all) * share).round() as u32).clamp(1, all - 1);
    let mut eval = Stream::new(seed, Purpose::Split, 0).order(all);
    let mut train = eval.split_off(kept as usize);
    train.sort_unstable();
    eval.sort_unstable();
    Ok(Split { train, eval })
}

/// The places in `train` in the order of an epoch (from 0): a function of seed and epoch, so that epoch and place
/// are all that a resumed training needs.
pub fn epoch_order(train: &[u32], seed: u64, epoch: u32) -> Vec<u32> {
    let order = Stream::new(seed, Purpose::Order, epoch).order(train.len() as u32);
    order.into_iter().map(|i| train[i as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_keeps_one_and_never_all() {
        for (examples, share, kept) in [(2, 0.01, 1), (2, 0.99, 1), (10, 0.25, 3), (100, 0.1, 10), (3, 1.0, 2), (7, 0.0, 0)] {
            let Split { train, eval } = split(examples, share, 7).expect("a split");
            assert_eq!(eval.len(), kept);
            let mut all = [train, eval].concat();
            all.sort_unstable();
            assert_eq!(all, (0..examples as u32).collect::<Vec<_>>());
        }
        assert_eq!(split(50, 0.2, 7).expect("a split"), split(50, 0.2, 7).expect("a split"));
        assert_ne!(split(50, 0.2, 7).expect("a split"), split(50, 0.2, 8).expect("a split"));
        for few in [0, 1] {
            assert!(matches!(split(few, 0.1, 7), Err(DataError::TooFewToSplit { .. })));
        }
    }

    #[test]
    fn an_epoch_orders_what_is_trained() {
        let train = [1, 4, 5, 9];
        let mut sorted = epoch_order(&train, 3, 0);
        let orders: std::collections::BTreeSet<_> = (0..50).map(|epoch| epoch_order(&train, 3, epoch)).collect();
        assert!(orders.len() > 15);
        sorted.sort_unstable();
        assert_eq!(sorted, train);
    }
}
