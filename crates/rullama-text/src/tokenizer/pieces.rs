//! The pieces of a vocabulary: one byte buffer, one offset per piece, one hashed index of ids.

use super::hash::{self, Hash};
use super::{Strings, TokenizerError};
use std::hash::Hasher;

/// Piece ids are packed three to a 64-bit word by the merge table.
pub(super) const MAX_PIECES: usize = 1 << 21;
const EMPTY: u32 = u32::MAX;

/// What a piece is for (`tokenizer.ggml.token_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl Kind {
    fn from_type(id: usize, value: i32) -> Result<Kind, TokenizerError> {
        Ok(match value {
            0 | 1 => Kind::Normal,
            2 => Kind::Unknown,
            3 => Kind::Control,
            4 => Kind::UserDefined,
            5 => Kind::Unused,
            6 => Kind::Byte,
            _ => return Err(TokenizerError::Type { id, value }),
        })
    }
}

/// Pieces by id and ids by piece: about 9 bytes a piece besides its text.
#[derive(Debug, Clone)]
pub(super) struct PieceTable {
    text: Box<str>,
    /// `ends[i]` is where piece `i` ends in `text`; it begins where the one before ends.
    ends: Box<[u32]>,
    kinds: Box<[Kind]>,
    hash: Hash,
    index: Box<[u32]>,
}

impl PieceTable {
    /// `types` may be empty: then every piece is normal.
    pub(super) fn new(pieces: &dyn Strings, types: &[i32]) -> Result<Self, TokenizerError> {
        let len = pieces.len();
        if len == 0 {
            return Err(TokenizerError::Empty);
        }
        if len > MAX_PIECES {
            return Err(TokenizerError::TooLarge { table: "tokens", len, limit: MAX_PIECES });
        }
        if !types.is_empty() && types.len() != len {
            return Err(TokenizerError::TypeCount { types: types.len(), pieces: len });
        }
        let total: usize = (0..len).map(|i| pieces.get(i).len()).sum();
        if u32::try_from(total).is_err() {
            return Err(TokenizerError::TooLarge { table: "tokens", len: total, limit: u32::MAX as usize });
        }
        let mut text = String::with_capacity(total);
        let mut ends = Vec::with_capacity(len);
        let mut kinds = Vec::with_capacity(len);
        for id in 0..len {
            let piece = pieces.get(id);
            text.push_str(piece);
            ends.push(text.len() as u32);
            let kind = types.get(id).map_or(Ok(Kind::Normal), |&t| Kind::from_type(id, t))?;
            // Some converters type the byte pieces as normal.
            let is_byte = kind == Kind::Normal && parse_byte(piece).is_some();
            kinds.push(if is_byte { Kind::Byte } else { kind });
        }
        let hash = Hash::seeded_by(|hasher| {
            hasher.write(text.as_bytes());
            ends.iter().for_each(|&end| hasher.write_u32(end));
        });
        let mut table = PieceTable {
            text: text.into_boxed_str(),
            ends: ends.into_boxed_slice(),
            kinds: kinds.into_boxed_slice(),
            hash,
            index: vec![EMPTY; hash::slots(len)].into_boxed_slice(),
        };
        for id in 0..len as u32 {
            table.insert(id);
        }
        Ok(table)
    }

    /// Adds a piece to the index; of equal pieces the first keeps its place.
    fn insert(&mut self, id: u32) {
        let mask = self.index.len() - 1;
        let mut slot = self.hash.bytes(self.bytes(id)) & mask;
        while self.index[slot] != EMPTY {
            if self.bytes(self.index[slot]) == self.bytes(id) {
                return;
            }
            slot = (slot + 1) & mask;
        }
        self.index[slot] = id;
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    fn span(&self, id: u32) -> std::ops::Range<usize> {
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.ends[id - 1] as usize };
        start..self.ends[id] as usize
    }

    fn bytes(&self, id: u32) -> &[u8] {
        &self.text.as_bytes()[self.span(id)]
    }

    /// The piece with this id; `id` must be below `len`.
    pub(super) fn piece(&self, id: u32) -> &str {
        &self.text[self.span(id)]
    }

    pub(super) fn kind(&self, id: u32) -> Kind {
        self.kinds[id as usize]
    }

    /// Special pieces are matched in template text and never arise from plain text.
    pub(super) fn is_special(&self, id: u32) -> bool {
        matches!(self.kind(id), Kind::Control | Kind::UserDefined)
    }

    pub(super) fn find(&self, piece: &str) -> Option<u32> {
        self.find_bytes(piece.as_bytes())
    }

    pub(super) fn find_bytes(&self, piece: &[u8]) -> Option<u32> {
        let mask = self.index.len() - 1;
        let mut slot = self.hash.bytes(piece) & mask;
        loop {
            let id = self.index[slot];
            if id == EMPTY {
                return None;
            }
            if self.bytes(id) == piece {
                return Some(id);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// The byte that a byte piece stands for.
    pub(super) fn byte(&self, id: u32) -> Option<u8> {
        (self.kind(id) == Kind::Byte).then(|| parse_byte(self.piece(id))).flatten()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.text.len() + 4 * self.ends.len() + self.kinds.len() + 4 * self.index.len()
    }
}

/// The value of `<0xHH>` (upper-case digits, as the vocabulary writes them).
fn parse_byte(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    let valid = digits.len() == 2 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
    if valid { u8::from_str_radix(digits, 16).ok() } else { None }
}
