//! What a grammar sees of a vocabulary.

use crate::GrammarError;
use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};
use std::sync::Arc;

/// Longer tokens are never text: no vocabulary has them, and the trie's depth is bounded.
const LONGEST: usize = 256;
/// Most bytes of all tokens, which bounds the trie's nodes (2^22 fit).
const MOST_BYTES: usize = 4_000_000;
/// Most tokens.
const MOST_TOKENS: usize = 1 << 20;

/// The bytes of each token, by id.
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    bytes: Vec<u8>,
    /// Where each token ends.
    ends: Vec<usize>,
}

impl Tokens {
    /// The tokens whose bytes stand end to end, each up to its end; `special` are the ids of those that are no text, ascending.
    pub fn new(bytes: &[u8], ends: &[u32], special: &[u32]) -> Self {
        let mut tokens = Tokens::default();
        let mut start = 0;
        for (id, end) in (0..).zip(ends) {
            let piece = bytes.get(start..*end as usize).unwrap_or_default();
            start = *end as usize;
            if special.binary_search(&id).is_ok() {
                tokens.special(&String::from_utf8_lossy(piece));
            } else {
                tokens.text(piece);
            }
        }
        tokens
    }

    /// Adds the next token, which stands for these bytes of an answer; without any it never stands in one.
    pub fn text(&mut self, bytes: &[u8]) {
        // 0xFF is in no UTF-8, and marks special tokens in the trie.
        let text = bytes.len() <= LONGEST && bytes.first() != Some(&TokTrie::SPECIAL_TOKEN_MARKER);
        self.bytes.extend_from_slice(if text { bytes } else { &[] });
        self.ends.push(self.bytes.len());
    }

    /// Adds the next token, which is none of an answer's text: a control token, a mark. Gives its id.
    pub fn special(&mut self, piece: &str) -> u32 {
        if piece.len() < LONGEST {
            self.bytes.push(TokTrie::SPECIAL_TOKEN_MARKER);
            self.bytes.extend_from_slice(piece.as_bytes());
        }
        self.ends.push(self.bytes.len());
        self.ends.len() as u32 - 1
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Words of 32 bits that a mask over these tokens has.
    pub fn mask_words(&self) -> usize {
        self.len().div_ceil(32)
    }

    fn words(&self) -> Vec<Vec<u8>> {
        let mut start = 0;
        let cut = |end: &usize| self.bytes[std::mem::replace(&mut start, *end)..*end].to_vec();
        self.ends.iter().map(cut).collect()
    }

    /// The trie that automata walk over.
    pub(crate) fn environment(&self, ends: &[u32]) -> Result<TokEnv, GrammarError> {
        let refuse = |reason: String| Err(GrammarError::Vocabulary { reason });
        if self.len() > MOST_TOKENS || self.bytes.len() > MOST_BYTES {
            return refuse(format!("{} tokens of {} bytes are too many", self.len(), self.bytes.len()));
        }
        if ends.is_empty() || ends.iter().any(|end| *end as usize >= self.len()) {
            return refuse("it has no token that ends an answer".into());
        }
        let info = TokRxInfo::new(self.len() as u32, ends[0]);
        let trie = TokTrie::from(&info, &self.words()).with_eos_tokens(ends);
        Ok(Arc::new(ApproximateTokEnv::new(trie)))
    }
}
