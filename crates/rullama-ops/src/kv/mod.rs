//! How keys and values are kept in caches: what a type takes, what storing does to numbers, and the modules of WGSL that attention reads
//! caches by (`cached`) and that what fills them writes by (`stored`).

pub(crate) mod q8;

use half::f16;

/// How keys and values are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum KvType {
    /// Packed halves, computed on as f32.
    #[default]
    F16,
    F32,
    /// Codes of 8 bits with a half for each block of 32 values of a head, computed on as f32.
    Q8,
}

impl KvType {
    pub const ALL: [KvType; 3] = [KvType::F16, KvType::F32, KvType::Q8];

    /// As options, records and saved sessions have it.
    pub fn name(self) -> &'static str {
        match self {
            KvType::F16 => "f16",
            KvType::F32 => "f32",
            KvType::Q8 => "q8",
        }
    }

    /// Values that are stored together; the width of a slot is a multiple of it.
    pub fn block(self) -> u32 {
        match self {
            KvType::F16 | KvType::F32 => 4,
            KvType::Q8 => q8::BLOCK as u32,
        }
    }

    /// Bytes of a slot of `width` values in each plane of a cache: planes stand one behind the other, each with all slots.
    pub fn planes(self, width: u32) -> Vec<u64> {
        let width = u64::from(width);
        match self {
            KvType::F16 => vec![2 * width],
            KvType::F32 => vec![4 * width],
            KvType::Q8 => vec![width, width / q8::BLOCK as u64 * 2],
        }
    }

    /// Bytes of a cache of `slots` slots of `width` values.
    pub fn bytes(self, slots: u32, width: u32) -> u64 {
        let all: u64 = self.planes(width).iter().map(|plane| u64::from(slots) * plane).sum();
        // Kernels read pairs of words.
        all.next_multiple_of(8)
    }

    /// What storing leaves of values, which are whole blocks.
    pub fn round(self, values: &mut [f32]) {
        match self {
            KvType::F16 => values.iter_mut().for_each(|value| *value = f16::from_f32(*value).to_f32()),
            KvType::F32 => {}
            KvType::Q8 => values.chunks_exact_mut(q8::BLOCK).for_each(|block| {
                let (scale, codes) = q8::quantise(block);
                block.iter_mut().zip(codes).for_each(|(value, code)| *value = f32::from(code) * scale.to_f32());
            }),
        }
    }

    /// The module `cached`.
    pub(crate) fn cached(self) -> &'static str {
        match self {
            KvType::F16 => rullama_quant::wgsl!("cached_f16.wgsl"),
            KvType::F32 => rullama_quant::wgsl!("cached_f32.wgsl"),
            KvType::Q8 => rullama_quant::wgsl!("cached_q8.wgsl"),
        }
    }

    /// The module `stored`.
    pub(crate) fn stored(self) -> &'static str {
        match self {
            KvType::F16 => rullama_quant::wgsl!("stored_f16.wgsl"),
            KvType::F32 => rullama_quant::wgsl!("stored_f32.wgsl"),
            KvType::Q8 => rullama_quant::wgsl!("stored_q8.wgsl"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KvType;

    #[test]
    fn eight_bits_take_34_bytes_where_halves_take_64() {
        for (slots, width) in [(1024, 64), (1280, 512), (64, 96), (4096, 4096)] {
            let [half, eight] = [KvType::F16, KvType::Q8].map(|kv| kv.bytes(slots, width));
            assert_eq!(eight * 64, half * 34, "{slots} slots of {width}");
        }
    }
}
