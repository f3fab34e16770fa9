//! Numbers for cases.

use crate::host::{Array, HostCache, HostWeight};
use crate::kv::KvType;
use rullama_quant::{DType, scale_random};

/// A small generator for cases: the same numbers on every platform (SplitMix64).
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.bits() % n
    }

    /// Uniform in [-1, 1).
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    }

    pub fn tensor(&mut self, rows: usize, cols: usize) -> Array {
        self.tensor_scaled(rows, cols, 1.0)
    }

    pub fn tensor_scaled(&mut self, rows: usize, cols: usize, scale: f32) -> Array {
        Array { rows, cols, data: (0..rows * cols).map(|_| self.unit() * scale).collect() }
    }

    /// Random blocks of a format whose values are about `1 / sqrt(cols)`.
    pub fn weight(&mut self, dtype: DType, rows: usize, cols: usize) -> HostWeight {
        let mut bytes: Vec<u8> = (0..rows * cols / dtype.block_len() * dtype.block_bytes()).map(|_| self.bits() as u8).collect();
        scale_random(dtype, &mut bytes, (cols as f32).sqrt().recip()).expect("whole blocks");
        HostWeight { dtype, rows, cols, bytes }
    }

    /// A cache filled with rounded random values.
    pub fn cache(&mut self, kv: KvType, slots: usize, width: usize) -> HostCache {
        let mut data: Vec<f32> = (0..slots * width).map(|_| self.unit()).collect();
        kv.round(&mut data);
        HostCache { kv, slots, width, data }
    }
}
