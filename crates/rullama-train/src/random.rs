//! Random numbers of a training: a function of seed, purpose and place, the same on every platform.
//!
//! Philox-2x32-10 twice: k = philox((low, high word of the seed), key = purpose), then number i of a stream is
//! philox((i, k[1] xor stream), key = k[0]). Nothing is drawn in an order, so nothing but the seed has to be kept.

use rullama_ops::sample::philox2x32;

/// What numbers are for; equal seeds give each purpose its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The order of the examples; the stream is the epoch.
    Order = 1,
    /// Which examples are kept for evaluation.
    Split = 2,
    /// First values of the adapter's A; the stream is the target.
    Init = 3,
    /// Which inputs of the adapter are dropped; the stream is the micro-batch.
    Dropout = 4,
}

/// One stream of numbers.
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    key: u32,
    high: u32,
}

impl Stream {
    pub fn new(seed: u64, purpose: Purpose, stream: u32) -> Self {
        let [key, high] = philox2x32([seed as u32, (seed >> 32) as u32], purpose as u32);
        Stream { key, high: high ^ stream }
    }

    /// 64 random bits.
    pub fn bits(&self, i: u32) -> u64 {
        let [low, high] = philox2x32([i, self.high], self.key);
        u64::from(high) << 32 | u64::from(low)
    }

    /// Uniform in 0..n; of the values some are likelier by less than n / 2^64.
    pub fn below(&self, i: u32, n: u32) -> u32 {
        ((u128::from(self.bits(i)) * u128::from(n)) >> 64) as u32
    }

    /// Uniform in [0, 1) in steps of 2^-53.
    pub fn unit(&self, i: u32) -> f64 {
        (self.bits(i) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// 0..n in random order (Fisher and Yates).
    pub fn order(&self, n: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i as usize, self.below(i, i + 1) as usize);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By a second implementation of the definition.
    const ORDER: [u32; 10] = [5, 0, 3, 9, 8, 2, 6, 4, 1, 7];

    #[test]
    fn an_order_never_changes() {
        assert_eq!(Stream::new(42, Purpose::Order, 0).order(10), ORDER);
        assert_ne!(Stream::new(42, Purpose::Order, 1).order(10), ORDER);
        assert_ne!(Stream::new(42, Purpose::Split, 0).order(10), ORDER);
        assert_ne!(Stream::new(42 | 1 << 40, Purpose::Order, 0).order(10), ORDER);
    }

    #[test]
    fn every_order_is_as_likely() {
        let mut seen = std::collections::BTreeMap::new();
        for seed in 0..24_000 {
            *seen.entry(Stream::new(seed, Purpose::Order, 0).order(4)).or_insert(0u32) += 1;
        }
        assert_eq!(seen.len(), 24);
        let chi: f64 = seen.values().map(|&n| (f64::from(n) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi < 49.7, "chi-square {chi} at 23 degrees of freedom: p < 0.001");
    }

    #[test]
    fn few_values_have_orders_too() {
        let stream = Stream::new(0, Purpose::Order, 0);
        assert!(stream.order(0).is_empty());
        assert_eq!(stream.order(1), [0]);
        assert!((0..1000).all(|i| (0.0..1.0).contains(&stream.unit(i)) && stream.below(i, 3) < 3));
    }
}
