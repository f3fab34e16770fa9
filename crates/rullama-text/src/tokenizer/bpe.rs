//! Byte-pair encoding of one fragment in O(n log n).
//!
//! ```text
//! symbols = characters of the fragment, as a doubly linked list
//! heap    = (rank, position of the left symbol) of every adjacent pair that merges
//! while the heap gives a smallest (rank, position):
//!     skip it unless the pair that now stands at `position` is still the pair of `rank`
//!     the left symbol becomes the merged one, the right symbol leaves the list
//!     push the new pairs to its left and right
//! ```
//!
//! A rank names its pair, so an entry needs no more than 64 bits and proves itself stale. The
//! order (rank, position) is the reference's: lowest rank first, leftmost of equals.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::merges::MergeTable;
use super::pieces::PieceTable;

/// What the vocabulary writes for a space.
pub(super) const SPACE_MARK: char = '\u{2581}';

const NONE: u32 = u32::MAX;
/// A symbol that was merged into its left neighbour.
const DEAD: u32 = u32::MAX;
/// A character without a piece of its own: the low bits hold the character.
const UNKNOWN: u32 = 1 << 31;

#[derive(Debug, Clone, Copy)]
struct Symbol {
    id: u32,
    previous: u32,
    next: u32,
}

/// The tables of a vocabulary and the working memory of one call, reused over its fragments.
pub(super) struct Merger<'a> {
    pieces: &'a PieceTable,
    merges: &'a MergeTable,
    bytes: &'a [u32; 256],
    symbols: Vec<Symbol>,
    heap: BinaryHeap<Reverse<u64>>,
}

impl<'a> Merger<'a> {
    pub(super) fn new(pieces: &'a PieceTable, merges: &'a MergeTable, bytes: &'a [u32; 256]) -> Self {
        Merger { pieces, merges, bytes, symbols: Vec::new(), heap: BinaryHeap::new() }
    }

    /// Appends the ids of a fragment of fewer than 2^31 characters.
    pub(super) fn encode(&mut self, fragment: &str, out: &mut Vec<u32>) {
        self.split(fragment);
        self.find_pairs();
        while let Some(Reverse(entry)) = self.heap.pop() {
            self.merge((entry >> 32) as u32, entry as u32);
        }
        self.emit(out);
    }

    fn split(&mut self, fragment: &str) {
        let pieces = self.pieces;
        self.symbols.clear();
        self.symbols.extend(fragment.chars().enumerate().map(|(i, c)| {
            let c = if c == ' ' { SPACE_MARK } else { c };
            let id = pieces.find(c.encode_utf8(&mut [0; 4])).unwrap_or(UNKNOWN | c as u32);
            let i = i as u32;
            Symbol { id, previous: i.checked_sub(1).unwrap_or(NONE), next: i + 1 }
        }));
        if let Some(last) = self.symbols.last_mut() {
            last.next = NONE;
        }
    }

    fn find_pairs(&mut self) {
        let mut entries = std::mem::take(&mut self.heap).into_vec();
        entries.clear();
        for (position, pair) in self.symbols.windows(2).enumerate() {
            if let Some(rank) = rank(self.merges, pair[0].id, pair[1].id) {
                entries.push(entry(rank, position as u32));
            }
        }
        self.heap = BinaryHeap::from(entries);
    }

    fn push_pair(&mut self, left: u32, right: u32) {
        let (a, b) = (self.symbols[left as usize].id, self.symbols[right as usize].id);
        if let Some(rank) = rank(self.merges, a, b) {
            self.heap.push(entry(rank, left));
        }
    }

    /// Merges the pair at `position` if it still is the pair of `rank`.
    fn merge(&mut self, rank: u32, position: u32) {
        let merge = self.merges.merge(rank);
        let left = self.symbols[position as usize];
        if left.id != merge.left || left.next == NONE {
            return;
        }
        let right = self.symbols[left.next as usize];
        if right.id != merge.right {
            return;
        }
        self.symbols[left.next as usize].id = DEAD;
        self.symbols[position as usize].id = merge.merged;
        self.symbols[position as usize].next = right.next;
        if right.next != NONE {
            self.symbols[right.next as usize].previous = position;
            self.push_pair(position, right.next);
        }
        if left.previous != NONE {
            self.push_pair(left.previous, position);
        }
    }

    fn emit(&self, out: &mut Vec<u32>) {
        let mut position = if self.symbols.is_empty() { NONE } else { 0 };
        while position != NONE {
            let symbol = self.symbols[position as usize];
            if symbol.id & UNKNOWN == 0 {
                out.push(symbol.id);
            } else if let Some(c) = char::from_u32(symbol.id & !UNKNOWN) {
                let mut buffer = [0; 4];
                let utf8 = c.encode_utf8(&mut buffer).bytes();
                out.extend(utf8.map(|b| self.bytes[b as usize]));
            }
            position = symbol.next;
        }
    }
}

fn entry(rank: u32, position: u32) -> Reverse<u64> {
    Reverse((u64::from(rank) << 32) | u64::from(position))
}

fn rank(merges: &MergeTable, left: u32, right: u32) -> Option<u32> {
    if (left | right) & UNKNOWN != 0 { None } else { merges.rank(left, right) }
}
