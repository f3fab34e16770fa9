//! [`ByteSource`]: bytes of known length, read by ranges.

use std::{future::Future, ops::Range, pin::Pin, sync::Arc};

use crate::{
    foreign::Foreign,
    rows::{Rearranged, Rows},
};

/// A boxed future, `Send` natively; the browser's handles are bound to their thread, so not there.
#[cfg(not(target_arch = "wasm32"))]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// A boxed future, `Send` natively; the browser's handles are bound to their thread, so not there.
#[cfg(target_arch = "wasm32")]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// `Send + Sync` natively, nothing in the browser.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSendSync: Send + Sync {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + Sync + ?Sized> MaybeSendSync for T {}
/// `Send + Sync` natively, nothing in the browser.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSendSync {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSendSync for T {}

/// How dear a small read is; decides whether rows of a table may be fetched per token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locality {
    /// A copy in memory: nanoseconds.
    Memory,
    /// A disk or a picked file: microseconds to a millisecond.
    Local,
    /// A network: never one request per token.
    Remote,
}

/// Bytes of known length that do not change while they are read.
///
/// Native sources do their work before the future is first `Pending`, so they block the calling
/// thread; any executor drives them.
pub trait ByteSource: MaybeSendSync + 'static {
    /// What a message calls this source: a path, a URL or a file name.
    fn name(&self) -> &str;

    /// Length in bytes.
    fn len(&self) -> u64;

    /// Whether there is not one byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How dear a small read is.
    fn locality(&self) -> Locality;

    /// The files of which this source is made, one after the other; none where it is one file itself.
    fn parts(&self) -> &[Arc<dyn ByteSource>] {
        &[]
    }

    /// Whether `path` is a name of a file that is read here: its own, a link, a hard link. What is written
    /// must not replace it. Sources made of others ask each of them.
    fn reads_file(&self, path: &std::path::Path) -> bool {
        self.parts().iter().any(|part| part.reads_file(path))
    }

    /// Exactly `len` bytes from `offset` on.
    ///
    /// # Errors
    /// [`SourceError`]; a range that leaves the source is refused before anything is allocated.
    fn read<'a>(&'a self, offset: u64, len: usize) -> BoxFuture<'a, Result<Vec<u8>, SourceError>>;

    /// The bytes of each range, in the order given. Sources for which a request is dear join ranges
    /// that lie close together (see [`crate::coalesce`]).
    ///
    /// # Errors
    /// [`SourceError`] of the first range that fails.
    fn read_many<'a>(&'a self, ranges: &'a [Range<u64>]) -> BoxFuture<'a, Result<Vec<Vec<u8>>, SourceError>> {
        Box::pin(async move {
            let mut parts = Vec::with_capacity(ranges.len());
            for range in ranges {
                let len = SourceError::check_range(self.name(), self.len(), range)?;
                parts.push(self.read(range.start, len).await?);
            }
            Ok(parts)
        })
    }

    /// Pieces that are worth having under way at a time, beyond what threads make of it ([`crate::parallel`]).
    fn ahead(&self) -> usize {
        1
    }

    /// Has rows read and rearranged beside this thread; `None` where nobody does that, or could not: who asks does it then, and
    /// learns why something cannot be read.
    fn rearrange<'a>(&'a self, _rows: &'a Rows) -> BoxFuture<'a, Option<Rearranged>> {
        Box::pin(std::future::ready(None))
    }
}

impl std::fmt::Debug for dyn ByteSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ByteSource").field(&self.name()).finish()
    }
}

/// Why bytes could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The range asked for is not inside the source.
    #[error("{name}: bytes {start}..{end} lie outside its {length} bytes. Get the complete file.")]
    OutOfBounds { name: String, start: u64, end: u64, length: u64 },
    /// Fewer bytes came than the source's length promised.
    #[error(
        "{name}: {got} of {expected} bytes at offset {offset} could be read: it became shorter. \
         Wait until nothing writes to it, then load it again."
    )]
    ShortRead { name: String, offset: u64, expected: u64, got: u64 },
    /// The file could not be opened.
    #[error("{name}: cannot be opened: {source}. Check the path and its permissions.")]
    Open { name: String, source: std::io::Error },
    /// What has the name is no file that can be read at positions.
    #[error("{name}: is {what}, which cannot be read at any position. Save its content as a file, and give that.")]
    NotAFile { name: String, what: &'static str },
    /// The content is evidently something else than a model.
    #[error("{name}: not a GGUF file, but {foreign}")]
    Foreign { name: String, foreign: Foreign },
    /// The operating system refused a read.
    #[error("{name}: reading at offset {offset} failed: {source}. Check the disk and load again.")]
    Io { name: String, offset: u64, source: std::io::Error },
    /// The address is not one that can be fetched.
    #[error("{url}: not a usable address: {reason}. Give an http:// or https:// URL.")]
    Address { url: String, reason: String },
    /// The server answered with an error that a retry does not mend.
    #[error("{url}: the server answered {status}{}. Check the address, or download the file first.", meaning(*status))]
    Status { url: String, status: u16 },
    /// The server sends whole files only.
    #[error(
        "{url}: the server ignores Range requests, so the file cannot be read in pieces. \
         Download it and load it from disk, or use a server that supports ranges."
    )]
    RangeIgnored { url: String },
    /// The server's answer does not say what it must.
    #[error("{url}: the server's {header} header is unusable ({value:?}). Use another server.")]
    Header { url: String, header: &'static str, value: String },
    /// The remote file is no longer the one that was opened.
    #[error("{name}: the file changed while it was being read ({what}). Load the model again.")]
    Changed { name: String, what: String },
    /// The connection failed, also after retries.
    #[error(
        "{url}: no answer after {attempts} attempts ({reason}). \
         Check the connection and load again."
    )]
    Network { url: String, attempts: u32, reason: String },
    /// The server does not prove who it is, or does not speak TLS.
    #[error("{url}: no secure connection ({reason}). Check the address and this machine's clock, or download the file first.")]
    Untrusted { url: String, reason: String },
    /// The memory for the bytes could not be had.
    #[error("{name}: no memory for a read of {len} bytes. Close other programs or tabs.")]
    OutOfMemory { name: String, len: u64 },
    /// What is said of a file whose rest is still arriving: it has become another one, or a part cannot be fetched. The words end in
    /// the remedy.
    #[error("{words}")]
    Arriving { changed: bool, words: String },
    /// A failure reported by the host, such as a browser's file API.
    #[error("{name}: {message}. Pick the file again.")]
    Host { name: String, message: String },
}

/// What a status is about, where that helps.
fn meaning(status: u16) -> &'static str {
    match status {
        401 | 403 => " (it wants a login, or a licence that was accepted there)",
        404 | 410 => " (there is no such file)",
        _ => "",
    }
}

impl SourceError {
    /// The length of `range` as a `usize`, if it lies inside a source of `length` bytes.
    ///
    /// # Errors
    /// [`SourceError::OutOfBounds`].
    pub fn check_range(name: &str, length: u64, range: &Range<u64>) -> Result<usize, SourceError> {
        let inside = range.start <= range.end && range.end <= length;
        inside.then(|| usize::try_from(range.end - range.start).ok()).flatten().ok_or_else(|| SourceError::OutOfBounds {
            name: name.to_owned(),
            start: range.start,
            end: range.end,
            length,
        })
    }

    /// As [`SourceError::check_range`], for an offset and a length.
    ///
    /// # Errors
    /// [`SourceError::OutOfBounds`].
    pub fn check(name: &str, length: u64, offset: u64, len: usize) -> Result<(), SourceError> {
        let end = offset.saturating_add(len as u64);
        Self::check_range(name, length, &(offset..end)).map(|_| ())
    }

    /// `len` zero bytes, or an error where the allocator has none.
    ///
    /// # Errors
    /// [`SourceError::OutOfMemory`].
    pub fn allocate(name: &str, len: usize) -> Result<Vec<u8>, SourceError> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| SourceError::OutOfMemory { name: name.to_owned(), len: len as u64 })?;
        bytes.resize(len, 0);
        Ok(bytes)
    }
}
