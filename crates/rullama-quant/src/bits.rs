//! Bit packing shared by the formats: reading blocks, and turning the file's order of codes into
//! the device's (see [`crate::Layout`] for the picture).

use half::f16;

/// Consecutive arrays of `N` bytes.
pub fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = &[u8; N]> {
    bytes.as_chunks::<N>().0.iter()
}

/// Consecutive mutable arrays of `N` items.
pub fn chunks_mut<T, const N: usize>(items: &mut [T]) -> impl Iterator<Item = &mut [T; N]> {
    items.as_chunks_mut::<N>().0.iter_mut()
}

/// Runs `f` on every block of `BYTES` bytes and the `LEN` values it decodes to.
pub fn each_block<const BYTES: usize, const LEN: usize>(bytes: &[u8], out: &mut [f32], f: impl Fn(&[u8; BYTES], &mut [f32; LEN])) {
    for (block, values) in chunks::<BYTES>(bytes).zip(chunks_mut::<f32, LEN>(out)) {
        f(block, values);
    }
}

/// The 16-bit float at byte `at`, subnormals included.
pub fn half_at(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// The little-endian word at byte `at`.
pub fn word_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The `N` bytes from `at` on; a known length spares the packing loops their bounds checks.
pub fn part<const N: usize>(bytes: &[u8], at: usize) -> &[u8; N] {
    bytes[at..].first_chunk().expect("the part lies within the block")
}

/// The little-endian words at byte `at` and behind it.
fn words_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*part(bytes, at))
}

/// Stores a word at byte `at`.
pub fn put_word(bytes: &mut [u8], at: usize, word: u32) {
    bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
}

/// Stores a value, rounded to a 16-bit float, at byte `at`.
pub fn put_half(bytes: &mut [u8], at: usize, value: f32) {
    bytes[at..at + 2].copy_from_slice(&half_bytes(value));
}

/// Uniform in [-1, 1), from up to four random bytes.
pub fn unit(bits: &[u8]) -> f32 {
    let mut word = [0; 4];
    word[4 - bits.len()..].copy_from_slice(bits);
    (i32::from_le_bytes(word) >> 7) as f32 / (1u32 << 24) as f32
}

/// A value rounded to a 16-bit float, as bytes.
pub fn half_bytes(value: f32) -> [u8; 2] {
    f16::from_f32(value).to_le_bytes()
}

const LOW: u32 = 0x0f0f_0f0f;

/// Device nibbles of a 32-element block whose byte j holds elements j (low) and j+16 (high).
pub fn pack_nibble_halves(codes: &[u8; 16], out: &mut [u8; 16]) {
    let [a, b, c, d] = [0, 4, 8, 12].map(|at| word_at(codes, at));
    put_word(out, 0, a & LOW | (b & LOW) << 4);
    put_word(out, 4, c & LOW | (d & LOW) << 4);
    put_word(out, 8, a >> 4 & LOW | b & !LOW);
    put_word(out, 12, c >> 4 & LOW | d & !LOW);
}

/// Device nibbles of a group whose element l is the low (or high) nibble of byte l of 32.
pub fn pack_nibble_side(codes: &[u8; 32], high: bool, out: &mut [u8; 16]) {
    let shift = if high { 4 } else { 0 };
    for i in 0..4 {
        let both = words_at(codes, 8 * i) >> shift & (u64::from(LOW) << 32 | u64::from(LOW));
        put_word(out, 4 * i, (both | both >> 28) as u32);
    }
}

/// Device 2-bit codes of a group whose element l is bits `shift..shift+2` of byte l of 32.
pub fn pack_pairs(codes: &[u8; 32], shift: usize, out: &mut [u8; 8]) {
    for i in 0..2 {
        let pair = |k: usize| words_at(codes, 16 * i + 8 * k) >> shift & 0x0303_0303_0303_0303;
        let all = pair(0) | pair(1) << 4;
        put_word(out, 4 * i, (all | all >> 30) as u32);
    }
}

/// Device bit word of a group whose element l is bit `bit` of byte l of 32.
pub fn pack_bits(codes: &[u8; 32], bit: usize) -> u32 {
    (0..8).fold(0, |word, i| {
        let ones = word_at(codes, 4 * i) >> bit & 0x0101_0101;
        // Gathers the four byte-spaced bits at the top: no two products meet in one bit.
        word | (ones.wrapping_mul(0x1020_4080) >> 28) << (4 * i)
    })
}

/// The (scale, min) codes `k` of the 12 packed bytes of Q4_K and Q5_K, 6 bits each.
pub fn scale_min(packed: &[u8], k: usize) -> (u8, u8) {
    if k < 4 {
        (packed[k] & 63, packed[k + 4] & 63)
    } else {
        (packed[k + 4] & 15 | packed[k - 4] >> 6 << 4, packed[k + 4] >> 4 | packed[k] >> 6 << 4)
    }
}

/// Inverse of [`scale_min`]: packs eight 6-bit pairs.
pub fn pack_scale_min(scales: &[u8; 8], mins: &[u8; 8]) -> [u8; 12] {
    let mut packed = [0; 12];
    for k in 0..4 {
        packed[k] = scales[k] | scales[k + 4] >> 4 << 6;
        packed[k + 4] = mins[k] | mins[k + 4] >> 4 << 6;
        packed[k + 8] = scales[k + 4] & 15 | (mins[k + 4] & 15) << 4;
    }
    packed
}
