//! The hash of the two open-addressing tables. Their keys come from the model file, whose author may want them to
//! collide: so the hash is SipHash, and all keys of the table together seed it. Keys that collide under some seed
//! would have to be those that give this seed.

use std::hash::{DefaultHasher, Hasher};

/// Seeded by a table's keys; the same keys hash alike on every run.
#[derive(Debug, Clone)]
pub(super) struct Hash(DefaultHasher);

impl Hash {
    /// The hash for a table of these `keys`, which are fed in order.
    pub(super) fn seeded_by(feed: impl FnOnce(&mut DefaultHasher)) -> Self {
        // A hasher's keys are fixed; what it read first takes their place. Two passes make 128 bits of it.
        let mut low = DefaultHasher::new();
        feed(&mut low);
        let mut high = low.clone();
        high.write_u8(1);
        let mut seeded = DefaultHasher::new();
        seeded.write_u64(low.finish());
        seeded.write_u64(high.finish());
        Hash(seeded)
    }

    /// Hash of one word.
    pub(super) fn word(&self, value: u64) -> usize {
        let mut hasher = self.0.clone();
        hasher.write_u64(value);
        hasher.finish() as usize
    }

    /// Hash of a byte string.
    pub(super) fn bytes(&self, bytes: &[u8]) -> usize {
        let mut hasher = self.0.clone();
        hasher.write(bytes);
        hasher.finish() as usize
    }
}

/// Slots for `len` entries: a power of two, at most two thirds full.
pub(super) fn slots(len: usize) -> usize {
    (len + len / 2 + 1).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_other_key_makes_another_hash() {
        let seeded = |last: u64| Hash::seeded_by(|hasher| (0..100).chain([last]).for_each(|key| hasher.write_u64(key)));
        let (a, again, b) = (seeded(100), seeded(100), seeded(101));
        assert_eq!((a.word(7), a.bytes(b"piece")), (again.word(7), again.bytes(b"piece")));
        assert_ne!(a.word(7), b.word(7));
        assert_ne!(a.bytes(b"piece"), b.bytes(b"piece"));
    }
}
