//! Merging by the scores of pieces, as SentencePiece's BPE models do: of one fragment in O(n log n).
//!
//! ```text
//! the fragment is cut at its user-defined pieces (leftmost, longest)
//! symbols = characters of what is between, as a doubly linked list
//! heap    = (rank of the pair's text, position, length) of every adjacent pair whose text is a piece
//! while the heap gives a smallest (rank, position):
//!     skip it unless the pair that now stands at `position` has the length of the entry
//!     the left symbol takes over the right one's bytes; the pairs to its left and right are pushed
//! ```
//!
//! Higher scores have lower ranks, equal ones the same. Position and length name a text, so an entry proves itself stale.
//! Source: SentencePiece `bpe_model.cc`, llama.cpp `llm_tokenizer_spm_session`.

use super::bpe::SPACE_MARK;
use super::pieces::{Kind, PieceTable};
use super::specials::Specials;
use super::{Strings, TokenizerError};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Bytes of the longest piece that is looked for at every place of a text; the longest real ones have some hundred.
const MAX_PIECE: usize = 1024;

/// A piece that text does not become.
const NEVER: u32 = u32::MAX;
const NONE: u32 = u32::MAX;

/// What a vocabulary's scores come to.
#[derive(Debug, Clone)]
pub(super) struct Scores {
    /// By piece: the lowest merges first.
    ranks: Box<[u32]>,
    /// Bytes of the longest piece that merges make.
    longest: usize,
    /// The pieces that are matched before anything merges.
    defined: Specials,
}

impl Scores {
    /// # Errors
    /// Scores that are none, or not one a piece; a piece that is too long to be looked for.
    pub(super) fn new(scores: &[f32], pieces: &PieceTable, texts: &dyn Strings) -> Result<Self, TokenizerError> {
        if scores.len() != pieces.len() {
            return Err(TokenizerError::ScoreCount { scores: scores.len(), pieces: pieces.len() });
        }
        if let Some((id, value)) = scores.iter().enumerate().find(|(_, score)| !score.is_finite()) {
            return Err(TokenizerError::Score { id, value: value.to_string() });
        }
        // Minus zero is zero.
        let mut order: Vec<f32> = scores.iter().map(|score| score + 0.0).collect();
        order.sort_unstable_by(|a, b| b.total_cmp(a));
        order.dedup();
        if order.len() < 2 {
            // Files of other tokenizers fill the table with one number.
            return Err(TokenizerError::NoMerges);
        }
        let mut longest = 0;
        let mut ranks = Vec::with_capacity(scores.len());
        for (id, score) in scores.iter().enumerate() {
            let made = matches!(pieces.kind(id as u32), Kind::Normal | Kind::UserDefined);
            let len = texts.get(id).len();
            if made && len > MAX_PIECE {
                return Err(TokenizerError::PieceLength { id, len, limit: MAX_PIECE });
            }
            longest = if made { longest.max(len) } else { longest };
            let rank = order.partition_point(|other| *other > score + 0.0) as u32;
            ranks.push(if made { rank } else { NEVER });
        }
        let defined = Specials::of(pieces, |id| pieces.kind(id) == Kind::UserDefined);
        Ok(Scores { ranks: ranks.into(), longest, defined })
    }

    /// The piece of a text, and its rank.
    fn find(&self, pieces: &PieceTable, text: &[u8]) -> Option<(u32, u32)> {
        let id = if text.len() <= self.longest { pieces.find_bytes(text)? } else { return None };
        let rank = self.ranks[id as usize];
        (rank != NEVER).then_some((id, rank))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        4 * self.ranks.len() + self.defined.memory_bytes()
    }
}

/// Bytes `start .. start + len` of the text at work.
#[derive(Debug, Clone, Copy)]
struct Symbol {
    start: u32,
    /// 0: it was merged into its left neighbour.
    len: u32,
    previous: u32,
    next: u32,
}

/// The tables of a vocabulary and the working memory of one call, reused over its fragments.
pub(super) struct ScoreMerger<'a> {
    pieces: &'a PieceTable,
    scores: &'a Scores,
    bytes: &'a [u32; 256],
    /// The fragment as the vocabulary writes it.
    text: String,
    symbols: Vec<Symbol>,
    heap: BinaryHeap<Reverse<(u32, u32, u32)>>,
}

impl<'a> ScoreMerger<'a> {
    pub(super) fn new(pieces: &'a PieceTable, scores: &'a Scores, bytes: &'a [u32; 256]) -> Self {
        ScoreMerger { pieces, scores, bytes, text: String::new(), symbols: Vec::new(), heap: BinaryHeap::new() }
    }

    /// Appends the ids of a fragment of at most 2^30 bytes.
    pub(super) fn encode(&mut self, fragment: &str, out: &mut Vec<u32>) {
        let mut rest = fragment;
        while let Some((start, end, id)) = self.scores.defined.find(self.pieces, rest) {
            self.merged(&rest[..start], out);
            out.push(id);
            rest = &rest[end..];
        }
        self.merged(rest, out);
    }

    /// The same for text between user-defined pieces.
    fn merged(&mut self, text: &str, out: &mut Vec<u32>) {
        self.split(text);
        for left in 1..self.symbols.len() as u32 {
            self.push_pair(left - 1, left);
        }
        while let Some(Reverse((_, position, len))) = self.heap.pop() {
            self.merge(position, len);
        }
        self.emit(out);
    }

    fn split(&mut self, text: &str) {
        self.text.clear();
        self.symbols.clear();
        self.heap.clear();
        for c in text.chars() {
            let start = self.text.len() as u32;
            self.text.push(if c == ' ' { SPACE_MARK } else { c });
            let (at, len) = (self.symbols.len() as u32, self.text.len() as u32 - start);
            self.symbols.push(Symbol { start, len, previous: at.checked_sub(1).unwrap_or(NONE), next: at + 1 });
        }
        if let Some(last) = self.symbols.last_mut() {
            last.next = NONE;
        }
    }

    fn bytes_of(&self, start: u32, len: u32) -> &[u8] {
        &self.text.as_bytes()[start as usize..][..len as usize]
    }

    fn push_pair(&mut self, left: u32, right: u32) {
        let (a, b) = (self.symbols[left as usize], self.symbols[right as usize]);
        if let Some((_, rank)) = self.scores.find(self.pieces, self.bytes_of(a.start, a.len + b.len)) {
            self.heap.push(Reverse((rank, left, a.len + b.len)));
        }
    }

    /// Merges the pair at `position` if together it still has `len` bytes.
    fn merge(&mut self, position: u32, len: u32) {
        let left = self.symbols[position as usize];
        if left.len == 0 || left.next == NONE {
            return;
        }
        let right = self.symbols[left.next as usize];
        if left.len + right.len != len {
            return;
        }
        self.symbols[left.next as usize].len = 0;
        (self.symbols[position as usize].len, self.symbols[position as usize].next) = (len, right.next);
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
            let Symbol { start, len, next, .. } = self.symbols[position as usize];
            let bytes = self.bytes_of(start, len);
            match self.scores.find(self.pieces, bytes) {
                Some((id, _)) => out.push(id),
                None => out.extend(bytes.iter().map(|byte| self.bytes[usize::from(*byte)])),
            }
            position = next;
        }
    }
}
