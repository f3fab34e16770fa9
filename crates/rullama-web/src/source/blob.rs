use rullama_source::{
    BoxFuture, ByteSource, Locality, SourceError,
    rows::{Rearranged, Rows},
};
use wasm_bindgen::{JsCast, JsValue};

use super::readers::Readers;
use crate::js;

/// Slices that are asked for at a time: a browser reads them in another process.
const AHEAD: usize = 3;

/// A `File` or `Blob`, read in place.
pub struct BlobSource {
    blob: web_sys::Blob,
    name: String,
    len: u64,
    readers: Option<Readers>,
}

impl BlobSource {
    /// `name` is what messages call it.
    pub fn new(blob: web_sys::Blob, name: String) -> Self {
        Self { len: blob.size() as u64, blob, name, readers: None }
    }

    /// Of `{ blob, name, readers }`; `readers` are who reads it as well.
    pub fn of(file: &JsValue) -> Option<Self> {
        let blob: web_sys::Blob = js::get(file, "blob").dyn_into().ok()?;
        let name = js::get_string(file, "name").unwrap_or_else(|| "the file".to_owned());
        Some(Self { readers: Readers::of(file), ..Self::new(blob, name) })
    }

    async fn read_slice(&self, offset: u64, len: usize) -> Result<Vec<u8>, SourceError> {
        SourceError::check(&self.name, self.len, offset, len)?;
        let mut bytes = SourceError::allocate(&self.name, len)?;
        // A f64 counts whole bytes up to 9 petabytes.
        let (start, end) = (offset as f64, (offset + len as u64) as f64);
        let buffer = match self.blob.slice_with_f64_and_f64(start, end) {
            Ok(slice) => js::wait(slice.array_buffer()).await,
            Err(thrown) => Err(thrown),
        };
        let buffer = js::bytes_of(&buffer.map_err(|thrown| self.failure(&thrown))?);
        if buffer.length() as usize != len {
            return Err(SourceError::ShortRead { name: self.name.clone(), offset, expected: len as u64, got: u64::from(buffer.length()) });
        }
        buffer.copy_to(&mut bytes);
        Ok(bytes)
    }

    fn failure(&self, thrown: &JsValue) -> SourceError {
        let name = self.name.clone();
        // Browsers refuse to read a picked file that was written to or removed afterwards.
        if js::is_named(thrown, "NotReadableError") || js::is_named(thrown, "NotFoundError") {
            return SourceError::Changed { name, what: js::describe(thrown) };
        }
        SourceError::Host { name, message: js::describe(thrown) }
    }
}

impl ByteSource for BlobSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn locality(&self) -> Locality {
        Locality::Local
    }

    fn read<'a>(&'a self, offset: u64, len: usize) -> BoxFuture<'a, Result<Vec<u8>, SourceError>> {
        Box::pin(self.read_slice(offset, len))
    }

    fn read_many<'a>(&'a self, ranges: &'a [std::ops::Range<u64>]) -> BoxFuture<'a, Result<Vec<Vec<u8>>, SourceError>> {
        // A slice costs a message to the browser's process: 64 KiB of gap are read sooner.
        Box::pin(rullama_source::coalesce::read_coalesced(self, ranges, 64 << 10, 4 << 20))
    }

    fn ahead(&self) -> usize {
        self.readers.as_ref().map_or(1, Readers::ahead).max(AHEAD)
    }

    fn rearrange<'a>(&'a self, rows: &'a Rows) -> BoxFuture<'a, Option<Rearranged>> {
        Box::pin(async { self.readers.as_ref()?.rearranged(rows).await })
    }
}
