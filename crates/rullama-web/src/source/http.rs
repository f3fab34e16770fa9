use std::rc::Rc;

use js_sys::Uint8Array;
use rullama_source::{
    BoxFuture, ByteSource, Locality, SourceError,
    foreign::{Foreign, HEAD, WEB_PAGE, foreign, is_page},
};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{ReadableStreamDefaultReader, Response};

use super::blocks::Blocks;
use crate::{error::WebError, js};

/// Reading over a gap of this size costs less than a round trip.
const GAP: u64 = 256 << 10;
/// Largest joined read; bounds the memory that gaps can waste.
const MAX_JOINED: u64 = 8 << 20;
/// Attempts for a piece. The first contact gets fewer: a refused origin looks like a failed network.
const ATTEMPTS: u32 = 6;
const FIRST_ATTEMPTS: u32 = 3;
/// Milliseconds before the second attempt; doubles with each further one.
const BACKOFF: f64 = 250.0;
const LONGEST_PAUSE: f64 = 8000.0;
/// Milliseconds that the head of an answer may take.
const PATIENCE: f64 = 30_000.0;
/// Milliseconds in which something more of a body must come.
const SILENCE: f64 = 20_000.0;

/// What a server says of a file.
#[derive(Clone, Debug)]
pub struct Remote {
    pub url: String,
    /// Length in bytes, where the server tells it.
    pub len: Option<u64>,
    /// Changes when the file changes.
    pub tag: Option<String>,
    /// Whether the server answers `Range` requests.
    pub ranges: bool,
}

/// Why one attempt failed.
pub enum Failure {
    /// Worth another attempt.
    Retry(String),
    Final(SourceError),
}

impl Remote {
    /// Asks for the first byte.
    ///
    /// # Errors
    /// [`WebError::Unreachable`], or the server's refusal.
    pub async fn probe(url: &str) -> Result<Self, WebError> {
        let mut failures = 0;
        loop {
            match Self::probe_once(url).await {
                Ok(remote) => return Ok(remote),
                Err(Failure::Final(error)) => return Err(error.into()),
                Err(Failure::Retry(reason)) => {
                    failures += 1;
                    if failures >= FIRST_ATTEMPTS {
                        return Err(unreadable(url, reason).await);
                    }
                    pause(failures).await;
                }
            }
        }
    }

    async fn probe_once(url: &str) -> Result<Self, Failure> {
        let response = request(url, Some("bytes=0-0".to_owned())).await?;
        let ranges = response.status() == 206;
        if !ranges && response.status() != 200 {
            return Err(status_failure(url, &response));
        }
        if !ranges && let Some(foreign) = in_place_of_a_file(&response).await {
            return Err(Failure::Final(SourceError::Foreign { name: url.to_owned(), foreign }));
        }
        let from_range = || header(&response, "content-range")?.rsplit_once('/')?.1.parse().ok();
        let mut len = if ranges { from_range() } else { length_of(&response) };
        let tag = tag_of(&response);
        if ranges {
            abandon(&response);
        }
        if ranges && len.is_none() {
            // Servers of another origin may hide `Content-Range`, but not `Content-Length`.
            let head = request(url, None).await?;
            len = length_of(&head);
            abandon(&head);
        }
        Ok(Self { url: url.to_owned(), len, tag, ranges })
    }
}

/// Why there is no answer that this page may see. A request whose answer stays hidden tells a server that is not there from
/// one that does not let this page read.
async fn unreadable(url: &str, reason: String) -> WebError {
    let url = url.to_owned();
    if js::answers(&url).await { WebError::Forbidden { url } } else { WebError::Unreachable { url, reason } }
}

/// A GET request past the cache, for a range where one is given.
///
/// No `If-Range`: it would make browsers ask other origins for permission first, which many file servers
/// refuse. The tag of every answer is compared instead.
pub async fn request(url: &str, range: Option<String>) -> Result<Response, Failure> {
    let headers: Vec<_> = range.into_iter().map(|range| ("Range", range)).collect();
    js::fetch(url, &headers, PATIENCE).await.map_err(|thrown| Failure::Retry(js::describe(&thrown)))
}

/// What an answer with an unexpected status means.
pub fn status_failure(url: &str, response: &Response) -> Failure {
    abandon(response);
    match response.status() {
        status @ (408 | 429 | 500..=599) => Failure::Retry(format!("status {status}")),
        status => Failure::Final(SourceError::Status { url: url.to_owned(), status }),
    }
}

/// What came in place of a model, by its type and first bytes: servers answer so where they have a page for people.
async fn in_place_of_a_file(response: &Response) -> Option<Foreign> {
    let page = header(response, "content-type").is_some_and(|kind| is_page(&kind));
    let len = length_of(response).unwrap_or(u64::MAX);
    let body = Body::of(response);
    let chunk = body.next(u64::MAX).await.ok()??;
    body.cancel();
    let head = chunk.subarray(0, chunk.length().min(HEAD as u32)).to_vec();
    let is_model = head.starts_with(b"GGUF");
    if page && !is_model { Some(WEB_PAGE) } else { foreign(&head, len) }
}

/// What identifies the version of the file that an answer belongs to, as far as this page may see it.
pub fn tag_of(response: &Response) -> Option<String> {
    header(response, "etag").or_else(|| header(response, "last-modified"))
}

/// The bytes of an answer's body, where the server tells; of a compressed one it tells others.
pub fn length_of(response: &Response) -> Option<u64> {
    let plain = header(response, "content-encoding").is_none_or(|encoding| encoding == "identity");
    header(response, "content-length").filter(|_| plain)?.parse().ok()
}

/// A body, read a chunk at a time.
pub struct Body(Option<ReadableStreamDefaultReader>);

/// Why a body ended early.
pub enum Broken {
    /// More came than there is room for.
    TooLong,
    /// The connection failed, or was silent for too long.
    Connection(String),
}

impl Body {
    pub fn of(response: &Response) -> Self {
        Self(response.body().map(|body| body.get_reader().unchecked_into()))
    }

    /// The next chunk, `None` at the end. What is longer than `room` is not wanted any more, and neither is the rest of a body
    /// that came to a halt.
    pub async fn next(&self, room: u64) -> Result<Option<Uint8Array>, Broken> {
        let Some(reader) = &self.0 else { return Ok(None) };
        let piece: Result<JsValue, JsValue> = js::wait_within(reader.read(), SILENCE, "nothing came for 20 s").await;
        let piece = piece.map_err(|thrown| Broken::Connection(js::describe(&thrown))).inspect_err(|_| self.cancel())?;
        if js::get(&piece, "done").is_truthy() {
            return Ok(None);
        }
        let chunk: Uint8Array = js::get(&piece, "value").unchecked_into();
        if u64::from(chunk.length()) > room {
            self.cancel();
            return Err(Broken::TooLong);
        }
        Ok(Some(chunk))
    }

    /// Lets go of the rest, whether it is on its way or not.
    pub fn cancel(&self) {
        if let Some(reader) = &self.0 {
            // The promise only tells when it is done, or that there was nothing left.
            let done = JsFuture::from(reader.cancel());
            // It only tells when it is done, or that there was nothing left.
            spawn_local(async { drop(done.await) });
        }
    }
}

/// Waits before attempt `failures + 1`.
pub async fn pause(failures: u32) {
    let factor = f64::from(1u32 << (failures.max(1) - 1).min(16));
    js::sleep((BACKOFF * factor).min(LONGEST_PAUSE)).await;
}

pub fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).ok().flatten()
}

/// Lets go of a body that nobody will read, so that its connection becomes free.
fn abandon(response: &Response) {
    if let Some(body) = response.body() {
        // The promise only tells when it is done.
        let _ = body.cancel();
    }
}

/// A file on a web server. Of a small one blocks are read ahead; of others every read is one request.
pub struct UrlSource {
    file: Rc<UrlFile>,
    blocks: Rc<Blocks>,
}

/// What is asked for, without what was read ahead.
pub struct UrlFile {
    remote: Remote,
    pub len: u64,
}

impl UrlSource {
    /// # Errors
    /// [`SourceError::RangeIgnored`] and [`SourceError::Header`], where it cannot be read in pieces.
    pub fn new(remote: Remote) -> Result<Self, SourceError> {
        let url = remote.url.clone();
        if !remote.ranges {
            return Err(SourceError::RangeIgnored { url });
        }
        let hidden = SourceError::Header { url, header: "Content-Range", value: String::new() };
        let file = Rc::new(UrlFile { len: remote.len.ok_or(hidden)?, remote });
        let blocks = Rc::new(Blocks::new(file.clone()));
        Ok(Self { file, blocks })
    }

    /// What is read ahead; to be let go of when the model is loaded.
    pub fn blocks(&self) -> Rc<Blocks> {
        self.blocks.clone()
    }

    async fn read_range(&self, offset: u64, len: usize) -> Result<Vec<u8>, SourceError> {
        let url = &self.file.remote.url;
        SourceError::check(url, self.file.len, offset, len)?;
        let mut bytes = SourceError::allocate(url, len)?;
        if len > 0 && !self.blocks.read(offset, &mut bytes).await? {
            self.file.fetch(offset, len as u64).await?.copy_to(&mut bytes);
        }
        Ok(bytes)
    }
}

impl UrlFile {
    /// `len` bytes from `offset` on, at least one, outside of the module's memory.
    pub async fn fetch(&self, offset: u64, len: u64) -> Result<Uint8Array, SourceError> {
        let mut failures = 0;
        loop {
            match self.attempt(offset, len).await {
                Ok(bytes) => return Ok(bytes),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Retry(reason)) => {
                    failures += 1;
                    if failures >= ATTEMPTS {
                        let url = self.remote.url.clone();
                        return Err(SourceError::Network { url, attempts: failures, reason });
                    }
                    pause(failures).await;
                }
            }
        }
    }

    async fn attempt(&self, offset: u64, len: u64) -> Result<Uint8Array, Failure> {
        let url = &self.remote.url;
        let last = offset + len - 1;
        let response = request(url, Some(format!("bytes={offset}-{last}"))).await?;
        match response.status() {
            206 => {}
            200 => {
                abandon(&response);
                return Err(Failure::Final(SourceError::RangeIgnored { url: url.clone() }));
            }
            416 => return Err(self.changed("it became shorter".to_owned())),
            _ => return Err(status_failure(url, &response)),
        }
        if tag_of(&response) != self.remote.tag {
            return Err(self.changed("it has a new tag".to_owned()));
        }
        let expected = format!("bytes {offset}-{last}/{}", self.len);
        if let Some(range) = header(&response, "content-range").filter(|range| *range != expected) {
            return Err(self.changed(format!("asked for {expected}, got {range}")));
        }
        self.body(&response, len).await
    }

    /// A body of `len` bytes. Room is taken as they come: what a server promises costs nothing yet.
    async fn body(&self, response: &Response, len: u64) -> Result<Uint8Array, Failure> {
        let body = Body::of(response);
        let (mut chunks, mut got) = (Vec::new(), 0);
        loop {
            match body.next(len - got).await {
                Ok(Some(chunk)) => {
                    got += u64::from(chunk.length());
                    chunks.push(chunk);
                }
                Ok(None) if got == len => break,
                Ok(None) => return Err(Failure::Retry("the connection closed early".to_owned())),
                Err(Broken::TooLong) => return Err(self.changed("more came than was asked for".to_owned())),
                Err(Broken::Connection(reason)) => return Err(Failure::Retry(reason)),
            }
        }
        let (bytes, mut at) = (Uint8Array::new_with_length(got as u32), 0);
        for chunk in chunks {
            bytes.set(&chunk, at);
            at += chunk.length();
        }
        Ok(bytes)
    }

    fn changed(&self, what: String) -> Failure {
        Failure::Final(SourceError::Changed { name: self.remote.url.clone(), what })
    }
}

impl ByteSource for UrlSource {
    fn name(&self) -> &str {
        &self.file.remote.url
    }

    fn len(&self) -> u64 {
        self.file.len
    }

    fn locality(&self) -> Locality {
        Locality::Remote
    }

    fn read<'a>(&'a self, offset: u64, len: usize) -> BoxFuture<'a, Result<Vec<u8>, SourceError>> {
        Box::pin(self.read_range(offset, len))
    }

    fn read_many<'a>(&'a self, ranges: &'a [std::ops::Range<u64>]) -> BoxFuture<'a, Result<Vec<Vec<u8>>, SourceError>> {
        Box::pin(rullama_source::coalesce::read_coalesced(self, ranges, GAP, MAX_JOINED))
    }
}
