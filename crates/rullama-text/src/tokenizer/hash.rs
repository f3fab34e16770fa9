//! A small multiplicative hash for the two open-addressing tables. The keys come from the model
//! file and from single characters of the text, so nobody can make a long text collide.

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hash of one word; the high bits are the good ones and end up everywhere.
pub(super) fn word(value: u64) -> usize {
    let x = (value ^ (value >> 32)).wrapping_mul(MULTIPLIER);
    (x ^ (x >> 29)) as usize
}

/// Hash of a byte string, eight bytes at a time.
pub(super) fn bytes(bytes: &[u8]) -> usize {
    let mut state = (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    for chunk in bytes.chunks(8) {
        let mut buffer = [0u8; 8];
        buffer[..chunk.len()].copy_from_slice(chunk);
        state = (state.rotate_left(23) ^ u64::from_le_bytes(buffer)).wrapping_mul(MULTIPLIER);
    }
    word(state)
}

/// Slots for `len` entries: a power of two, at most two thirds full.
pub(super) fn slots(len: usize) -> usize {
    (len + len / 2 + 1).next_power_of_two()
}
