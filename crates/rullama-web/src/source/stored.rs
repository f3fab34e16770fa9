//! A file that the package opened: a copy in the browser's private storage, which it downloads, and in Node a file on the disk.

use rullama::ErrorCode;
use rullama_source::{
    BoxFuture, ByteSource, Locality, SourceError,
    rows::{Rearranged, Rows},
};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};

use super::readers::Readers;
use crate::{error::WebError, js};

#[wasm_bindgen]
extern "C" {
    /// `KeptSource` of the package.
    type Kept;
    #[wasm_bindgen(method, getter)]
    fn length(this: &Kept) -> f64;
    #[wasm_bindgen(method, getter)]
    fn arriving(this: &Kept) -> bool;
    #[wasm_bindgen(method, catch)]
    fn read(this: &Kept, at: f64, into: &mut [u8]) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method)]
    fn close(this: &Kept);
}

/// Such a file, read without leaving the worker. Of one that is still arriving, rows that are not stored yet are fetched one by one.
pub struct StoredSource {
    kept: Kept,
    name: String,
    len: u64,
}

/// Bytes that are here, or on their way.
enum Read {
    Here(Vec<u8>),
    Coming(js_sys::Promise),
}

impl StoredSource {
    /// Stores `url` by the package's function `keep`, and opens the copy. `must` says that it cannot be read otherwise, `rows` that a
    /// table may be read by rows; `None` where there is nothing to be stored for.
    ///
    /// # Errors
    /// [`WebError::NoStore`] where the package has no storage; [`WebError::Kept`], what it says.
    pub async fn keep(keep: &JsValue, url: &str, must: bool, rows: bool) -> Result<Option<Self>, WebError> {
        let Some(keep) = keep.dyn_ref::<js_sys::Function>() else {
            return if must { Err(WebError::NoStore { reason: "not offered here".to_owned() }) } else { Ok(None) };
        };
        let promise =
            keep.call3(&JsValue::NULL, &url.into(), &must.into(), &rows.into()).map_err(|thrown| WebError::from_package(&thrown))?;
        let kept: JsValue = js::wait(promise.unchecked_into()).await.map_err(|thrown| WebError::from_package(&thrown))?;
        if kept.is_undefined() {
            return Ok(None);
        }
        let kept: Kept = kept.unchecked_into();
        Ok(Some(Self { len: kept.length() as u64, name: url.to_owned(), kept }))
    }

    /// One that is open, `{ file, name }`.
    pub fn of(target: &JsValue) -> Option<Self> {
        let file = js::get(target, "file");
        let kept: Kept = file.is_object().then(|| file.unchecked_into())?;
        let name = js::get_string(target, "name").unwrap_or_else(|| "the file".to_owned());
        let file = Self { len: kept.length() as u64, name, kept };
        // They begin to come while the file's description is read.
        file.readers();
        Some(file)
    }

    fn readers(&self) -> Option<Readers> {
        Readers::of(&self.kept)
    }

    /// Whether rows of it still come over a network.
    pub fn arriving(&self) -> bool {
        self.kept.arriving()
    }

    fn start(&self, offset: u64, len: usize) -> Result<Read, SourceError> {
        SourceError::check(&self.name, self.len, offset, len)?;
        let mut bytes = SourceError::allocate(&self.name, len)?;
        let coming = self.kept.read(offset as f64, &mut bytes).map_err(|thrown| self.failure(&thrown))?;
        Ok(if coming.is_undefined() { Read::Here(bytes) } else { Read::Coming(coming.unchecked_into()) })
    }

    async fn finish(&self, read: Read, offset: u64, len: usize) -> Result<Vec<u8>, SourceError> {
        let promise = match read {
            Read::Here(bytes) => return Ok(bytes),
            Read::Coming(promise) => promise,
        };
        let bytes: js_sys::Uint8Array = js::wait(promise).await.map_err(|thrown| self.failure(&thrown))?;
        if bytes.length() as usize != len {
            let (name, expected, got) = (self.name.clone(), len as u64, u64::from(bytes.length()));
            return Err(SourceError::ShortRead { name, offset, expected, got });
        }
        Ok(bytes.to_vec())
    }

    fn failure(&self, thrown: &JsValue) -> SourceError {
        match js::package_error(thrown) {
            Some((code @ (ErrorCode::Network | ErrorCode::SourceChanged), words)) => {
                SourceError::Arriving { changed: code == ErrorCode::SourceChanged, words }
            }
            _ => SourceError::Host { name: self.name.clone(), message: js::describe(thrown) },
        }
    }
}

impl Drop for StoredSource {
    fn drop(&mut self) {
        self.kept.close();
    }
}

impl ByteSource for StoredSource {
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
        Box::pin(async move { self.finish(self.start(offset, len)?, offset, len).await })
    }

    /// What must come over a network comes at once.
    fn read_many<'a>(&'a self, ranges: &'a [std::ops::Range<u64>]) -> BoxFuture<'a, Result<Vec<Vec<u8>>, SourceError>> {
        Box::pin(async move {
            let mut started = Vec::with_capacity(ranges.len());
            for range in ranges {
                let len = SourceError::check_range(&self.name, self.len, range)?;
                started.push((self.start(range.start, len)?, range.start, len));
            }
            let mut parts = Vec::with_capacity(started.len());
            for (read, offset, len) in started {
                parts.push(self.finish(read, offset, len).await?);
            }
            Ok(parts)
        })
    }

    fn ahead(&self) -> usize {
        self.readers().map_or(1, |readers| readers.ahead())
    }

    fn rearrange<'a>(&'a self, rows: &'a Rows) -> BoxFuture<'a, Option<Rearranged>> {
        Box::pin(async { self.readers()?.rearranged(rows).await })
    }
}
