//! Caches of cases as words on the device, and how near to the oracle's they must come.

use crate::host::HostCache;
use crate::kv::{KvType, q8};
use crate::tolerance::compare_values;
use half::f16;

/// The words of a cache that holds this data.
pub(super) fn words(cache: &HostCache) -> Vec<u32> {
    match cache.kv {
        KvType::F32 => cache.data.iter().map(|v| v.to_bits()).collect(),
        KvType::F16 => packed(cache.data.iter().map(|v| f16::from_f32(*v).to_bits())),
        KvType::Q8 => {
            let blocks: Vec<_> = cache.data.chunks_exact(q8::BLOCK).map(q8::quantise).collect();
            let codes = blocks.iter().flat_map(|block| block.1.as_chunks::<4>().0);
            let mut words: Vec<u32> = codes.map(|four| u32::from_le_bytes(four.map(|code| code as u8))).collect();
            words.extend(packed(blocks.iter().map(|block| block.0.to_bits())));
            words.resize(cache.kv.bytes(cache.slots as u32, cache.width as u32) as usize / 4, 0);
            words
        }
    }
}

/// What `words` hold, for a cache of the same shape.
pub(super) fn values(cache: &HostCache, words: &[u32]) -> Vec<f32> {
    let halves = |words: &[u32]| -> Vec<f32> {
        words.iter().flat_map(|w| [*w as u16, (*w >> 16) as u16]).map(|h| f16::from_bits(h).to_f32()).collect()
    };
    match cache.kv {
        KvType::F32 => words.iter().map(|w| f32::from_bits(*w)).collect(),
        KvType::F16 => halves(words),
        KvType::Q8 => {
            let (codes, scales) = words.split_at(cache.data.len() / 4);
            let scales = halves(scales);
            let codes = codes.iter().flat_map(|word| word.to_le_bytes()).map(|code| f32::from(code as i8));
            codes.enumerate().map(|(i, code)| code * scales[i / q8::BLOCK]).collect()
        }
    }
}

fn packed(halves: impl Iterator<Item = u16>) -> Vec<u32> {
    let halves: Vec<u16> = halves.collect();
    halves.chunks(2).map(|pair| u32::from(pair[0]) | u32::from(pair.get(1).copied().unwrap_or_default()) << 16).collect()
}

/// Compares within `tolerance` and what storing may do to such a difference.
pub(super) fn compare(want: &HostCache, got: &HostCache, tolerance: f32) -> Result<(), String> {
    // Rounding to a half may fall to either neighbour.
    let half = 1.0 / 1024.0;
    match want.kv {
        KvType::F32 => compare_values(&want.data, &got.data, tolerance, 0.0),
        KvType::F16 => compare_values(&want.data, &got.data, tolerance, half),
        KvType::Q8 => {
            // Of a value that lies between two codes, a small difference decides which is taken: few do.
            let (mut near, mut ties) = (got.data.clone(), 0);
            for (block, got) in want.data.chunks_exact(q8::BLOCK).zip(near.chunks_exact_mut(q8::BLOCK)) {
                let step = q8::quantise(block).0.to_f32();
                for (want, got) in block.iter().zip(got) {
                    let off = (*want - *got).abs();
                    if off > 0.5 * step && off <= 1.125 * step {
                        (*got, ties) = (*want, ties + 1);
                    }
                }
            }
            if ties > want.data.len() / 64 {
                return Err(format!("{ties} of {} codes are the next", want.data.len()));
            }
            compare_values(&want.data, &near, tolerance, half)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Rng;

    #[test]
    fn words_hold_what_they_were_made_of() {
        for kv in KvType::ALL {
            for (slots, width) in [(3, 32), (4, 96), (7, 64)] {
                let cache = Rng::new(slots as u64).cache(kv, slots, width);
                let words = words(&cache);
                assert_eq!(words.len() as u64 * 4, kv.bytes(slots as u32, width as u32), "{kv:?}");
                assert_eq!(values(&cache, &words), cache.data, "{kv:?}");
            }
        }
    }

    #[test]
    fn codes_that_are_not_the_nearest_are_told() {
        let want = Rng::new(3).cache(KvType::Q8, 4, 64);
        let off = |share: usize| {
            let mut got = want.clone();
            for (i, block) in got.data.chunks_exact_mut(q8::BLOCK).enumerate() {
                let step = q8::quantise(block).0.to_f32();
                block.iter_mut().enumerate().filter(|(j, _)| (i * q8::BLOCK + j).is_multiple_of(share)).for_each(|(_, x)| *x += step);
            }
            compare(&want, &got, 1e-6)
        };
        assert!(off(64).is_ok());
        assert!(off(2).is_err());
        let mut got = want.clone();
        got.data[5] += 0.02;
        assert!(compare(&want, &got, 1e-6).is_err(), "two steps are no tie");
    }
}
