//! Numbers for cases.

use crate::codes::Quantise;
use crate::host::{Array, Host, HostCache, HostWeight};
use crate::kv::KvType;
use crate::op::Op;
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

    /// Values of which each group of 32 lies near whole multiples of a 127th of its largest magnitude, up to `scale`: how they are
    /// rounded to 8 bits depends on no arithmetic.
    pub fn near_codes(&mut self, rows: usize, cols: usize, scale: f32) -> Array {
        let mut data = Vec::with_capacity(rows * cols);
        for _ in 0..rows * cols / 32 {
            let step = scale * (1.5 + 0.5 * self.unit()) / 254.0;
            let largest = self.below(32);
            data.extend((0..32).map(|i| {
                let code = self.below(253) as f32 - 126.0;
                step * if i == largest { 127.0 } else { code + 0.4 * self.unit() }
            }));
        }
        Array { rows, cols, data }
    }

    /// Values in codes of 8 bits, up to `scale`.
    pub fn codes(&mut self, rows: usize, cols: usize, scale: f32) -> Host {
        let mut operands = [self.tensor_scaled(rows, cols, scale).into(), Host::Codes(Array::zeros(rows, cols))];
        Quantise.oracle(&mut operands);
        let [_, codes] = operands;
        codes
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
