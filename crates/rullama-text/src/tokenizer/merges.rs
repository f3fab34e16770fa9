//! The merges: `(left, right) -> (rank, merged)` in 16 bytes a merge.
//!
//! Entry `rank` of `packed` holds the three piece ids of one merge in 21 bits each, so the rank
//! costs nothing; an open-addressing table of ranks finds the entry of a pair.

use super::hash::{self, Hash};
use super::pieces::{Kind, PieceTable};
use super::{Strings, TokenizerError};
use std::hash::Hasher;

const ID_BITS: u32 = 21;
const ID_MASK: u64 = (1 << ID_BITS) - 1;
const EMPTY: u32 = u32::MAX;
const MAX_MERGES: usize = 1 << 28;

#[derive(Debug, Clone)]
pub(super) struct MergeTable {
    packed: Box<[u64]>,
    hash: Hash,
    index: Box<[u32]>,
}

/// One merge: `left` and `right` become `merged`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Merge {
    pub(super) left: u32,
    pub(super) right: u32,
    pub(super) merged: u32,
}

impl MergeTable {
    /// Merges are written `left right`, separated by the first space that is not the first byte.
    pub(super) fn new(merges: &dyn Strings, pieces: &PieceTable) -> Result<Self, TokenizerError> {
        let len = merges.len();
        if len == 0 {
            return Err(TokenizerError::NoMerges);
        }
        if len > MAX_MERGES {
            return Err(TokenizerError::TooLarge { table: "merges", len, limit: MAX_MERGES });
        }
        let mut packed = Vec::with_capacity(len);
        let mut joined = Vec::new();
        for rank in 0..len {
            let text = merges.get(rank);
            let merge = resolve(text, pieces, &mut joined).ok_or_else(|| TokenizerError::Merge { rank, merge: text.to_string() })?;
            packed.push(pack(merge));
        }
        let hash = Hash::seeded_by(|hasher| packed.iter().for_each(|&merge| hasher.write_u64(merge)));
        let index = vec![EMPTY; hash::slots(len)].into_boxed_slice();
        let mut table = MergeTable { packed: packed.into_boxed_slice(), hash, index };
        for rank in 0..len as u32 {
            table.insert(rank);
        }
        Ok(table)
    }

    /// Adds a merge to the index; of two merges of the same pair the first counts.
    fn insert(&mut self, rank: u32) {
        let mask = self.index.len() - 1;
        let pair = self.packed[rank as usize] >> ID_BITS;
        let mut slot = self.hash.word(pair) & mask;
        while self.index[slot] != EMPTY {
            if self.packed[self.index[slot] as usize] >> ID_BITS == pair {
                return;
            }
            slot = (slot + 1) & mask;
        }
        self.index[slot] = rank;
    }

    /// The rank of the merge of two adjacent pieces: lower ranks merge first.
    pub(super) fn rank(&self, left: u32, right: u32) -> Option<u32> {
        let pair = (u64::from(left) << ID_BITS) | u64::from(right);
        let mask = self.index.len() - 1;
        let mut slot = self.hash.word(pair) & mask;
        loop {
            let rank = self.index[slot];
            if rank == EMPTY {
                return None;
            }
            if self.packed[rank as usize] >> ID_BITS == pair {
                return Some(rank);
            }
            slot = (slot + 1) & mask;
        }
    }

    pub(super) fn merge(&self, rank: u32) -> Merge {
        let word = self.packed[rank as usize];
        let id = |shift: u32| ((word >> shift) & ID_MASK) as u32;
        Merge { left: id(2 * ID_BITS), right: id(ID_BITS), merged: id(0) }
    }

    /// Whether no merge joins a newline to another character.
    pub(super) fn keep_newlines_apart(&self, pieces: &PieceTable) -> bool {
        (0..self.packed.len() as u32).all(|rank| {
            let merged = pieces.piece(self.merge(rank).merged).as_bytes();
            let newlines = merged.iter().filter(|&&b| b == b'\n').count();
            newlines == 0 || newlines == merged.len()
        })
    }

    pub(super) fn memory_bytes(&self) -> usize {
        8 * self.packed.len() + 4 * self.index.len()
    }
}

fn resolve(text: &str, pieces: &PieceTable, joined: &mut Vec<u8>) -> Option<Merge> {
    let bytes = text.as_bytes();
    let space = 1 + bytes.get(1..)?.iter().position(|&b| b == b' ')?;
    let (left, right) = (&bytes[..space], &bytes[space + 1..]);
    joined.clear();
    joined.extend_from_slice(left);
    joined.extend_from_slice(right);
    Some(Merge {
        left: pieces.find_bytes(left)?,
        right: pieces.find_bytes(right)?,
        // Control tokens never arise from plain text.
        merged: pieces.find_bytes(joined).filter(|&id| pieces.kind(id) != Kind::Control)?,
    })
}

fn pack(merge: Merge) -> u64 {
    (u64::from(merge.left) << (2 * ID_BITS)) | (u64::from(merge.right) << ID_BITS) | u64::from(merge.merged)
}
