//! A forward reader over a source with one bounded buffer.

use crate::source::{ByteSource, SourceError};

use super::{MAX_HEADER, error::GgufError};

/// First piece; enough for the header of a model without a large vocabulary.
const FIRST_PIECE: u64 = 1 << 20;
/// Later pieces double up to this, so that a remote header takes few requests.
const LAST_PIECE: u64 = 4 << 20;

/// Reads a header front to back, in pieces of 1 to 4 MiB; never holds more than one of them.
pub(super) struct Reader<'a> {
    source: &'a dyn ByteSource,
    buffer: Vec<u8>,
    /// Offset of `buffer[0]` in the source.
    base: u64,
    /// Next unread byte of `buffer`.
    at: usize,
    piece: u64,
    /// The key or tensor being read, for messages.
    pub subject: String,
}

impl<'a> Reader<'a> {
    pub fn new(source: &'a dyn ByteSource) -> Self {
        let (buffer, subject) = (Vec::new(), String::new());
        Self { source, buffer, base: 0, at: 0, piece: FIRST_PIECE, subject }
    }

    /// Offset of the next byte.
    pub fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// Bytes of the source from here on.
    pub fn remaining(&self) -> u64 {
        self.source.len().saturating_sub(self.offset())
    }

    /// `what`, of the key or tensor being read.
    pub fn field(&self, what: &str) -> String {
        if self.subject.is_empty() { what.to_owned() } else { format!("{what} of {}", self.subject) }
    }

    pub fn truncated(&self, what: &str, needed: u64) -> GgufError {
        GgufError::HeaderTruncated {
            name: self.source.name().to_owned(),
            field: self.field(what),
            offset: self.offset(),
            needed,
            length: self.source.len(),
        }
    }

    pub fn too_large(&self, what: &str, value: u64, limit: u64) -> GgufError {
        GgufError::TooLarge { field: self.field(what), offset: self.offset(), value, limit }
    }

    pub fn invalid(&self, what: &str, value: u64, expected: &'static str) -> GgufError {
        GgufError::Invalid { field: self.field(what), offset: self.offset(), value, expected }
    }

    /// Parts of a header are bounded each; so is their sum, before they are read.
    fn within(&self, what: &str, bytes: u64) -> Result<(), GgufError> {
        let header = self.offset().saturating_add(bytes);
        if header > MAX_HEADER {
            return Err(self.too_large(&format!("the header up to the end of the {what}"), header, MAX_HEADER));
        }
        Ok(())
    }

    /// Drops what was read and appends the next piece.
    async fn refill(&mut self) -> Result<(), GgufError> {
        self.buffer.drain(..self.at);
        self.base += self.at as u64;
        self.at = 0;
        let from = self.base + self.buffer.len() as u64;
        let len = self.piece.min(self.source.len().saturating_sub(from)) as usize;
        self.piece = (self.piece * 2).min(LAST_PIECE);
        let next = self.source.read(from, len).await?;
        if next.len() != len || len == 0 {
            return Err(GgufError::Source(SourceError::ShortRead {
                name: self.source.name().to_owned(),
                offset: from,
                expected: len as u64,
                got: next.len() as u64,
            }));
        }
        if self.buffer.is_empty() {
            self.buffer = next;
        } else {
            self.buffer.extend_from_slice(&next);
        }
        Ok(())
    }

    /// The next bytes, up to `n` of them, which stay unread.
    pub async fn peek(&mut self, n: usize) -> Result<&[u8], GgufError> {
        let n = n.min(usize::try_from(self.remaining()).unwrap_or(n));
        while self.buffer.len() - self.at < n {
            self.refill().await?;
        }
        Ok(&self.buffer[self.at..self.at + n])
    }

    /// The next `n` bytes, `n` at most a few hundred.
    pub async fn take(&mut self, n: usize, what: &str) -> Result<&[u8], GgufError> {
        if self.buffer.len() - self.at < n {
            if (n as u64) > self.remaining() {
                return Err(self.truncated(what, n as u64));
            }
            self.within(what, n as u64)?;
            while self.buffer.len() - self.at < n {
                self.refill().await?;
            }
        }
        self.at += n;
        Ok(&self.buffer[self.at - n..self.at])
    }

    /// The part of the next `n` bytes that is in the buffer, in whole multiples of `unit` bytes and
    /// at least one of them; `unit` at most 8. The caller has checked `n` against [`Self::remaining`].
    pub async fn some(&mut self, n: u64, unit: usize) -> Result<&[u8], GgufError> {
        while self.buffer.len() - self.at < unit {
            self.refill().await?;
        }
        let here = (self.buffer.len() - self.at) / unit * unit;
        let count = here.min(usize::try_from(n).unwrap_or(usize::MAX));
        self.at += count;
        Ok(&self.buffer[self.at - count..self.at])
    }

    pub async fn u32(&mut self, what: &str) -> Result<u32, GgufError> {
        let bytes = self.take(4, what).await?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    pub async fn u64(&mut self, what: &str) -> Result<u64, GgufError> {
        let low = u64::from(self.u32(what).await?);
        Ok(low | u64::from(self.u32(what).await?) << 32)
    }

    /// A count of things that take at least `unit` bytes each, at most `cap`.
    pub async fn count(&mut self, what: &str, unit: u64, cap: u64) -> Result<u64, GgufError> {
        let count = self.u64(what).await?;
        if count > cap {
            return Err(self.too_large(what, count, cap));
        }
        let bytes = count.saturating_mul(unit);
        if bytes > self.remaining() {
            return Err(self.truncated(what, bytes));
        }
        self.within(what, bytes)?;
        Ok(count)
    }

    /// A string of at most `cap` bytes, appended to `scratch` (cleared first) and checked.
    pub async fn string<'s>(&mut self, what: &str, cap: u64, scratch: &'s mut Vec<u8>) -> Result<&'s str, GgufError> {
        let len = self.count(what, 1, cap).await?;
        let start = self.offset();
        scratch.clear();
        let mut left = len;
        while left > 0 {
            let part = self.some(left, 1).await?;
            scratch.extend_from_slice(part);
            left -= part.len() as u64;
        }
        std::str::from_utf8(scratch).map_err(|_| GgufError::NotUtf8 { field: self.field(what), offset: start })
    }
}
