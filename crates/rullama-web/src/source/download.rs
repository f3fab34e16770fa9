//! Copying an address into the browser's private storage, going on where an earlier attempt ended.

use js_sys::Uint8Array;
use rullama::ErrorCode;
use rullama_source::SourceError;
use wasm_bindgen::JsValue;
use web_sys::{FileSystemReadWriteOptions, Response};

use super::{
    OnDownload,
    http::{Body, Broken, Failure, Remote, header, length_of, pause, request, status_failure, tag_of},
    stored::{Access, Folder, Record, StoredSource},
};
use crate::error::WebError;

/// Attempts in a row without a byte before the download fails.
const ATTEMPTS: u32 = 6;
/// Progress is told once per so many bytes.
const REPORT: u64 = 1 << 20;

/// Makes sure that the private storage holds the whole file, and opens it there.
///
/// A complete copy of the same version is used as it is, also when the server does not answer. An incomplete one
/// is continued where the server allows it and tells versions apart; one that cannot be continued is removed.
///
/// # Errors
/// [`WebError::Quota`] before or while the disk gets too full, [`WebError::NoStore`], or what the server answers.
pub async fn download(url: &str, remote: Result<Remote, WebError>, on_download: OnDownload) -> Result<StoredSource, WebError> {
    let folder = Folder::open().await?;
    let name = file_name(url);
    let record = folder.record(&name).await.unwrap_or_default();
    // The name is a short hash of the address, so that another one may have it.
    let current = remote.as_ref().map_or(record.url == url, |remote| same_version(&record, remote));
    if record.complete && current {
        let access = folder.access(&name, true).await?;
        if Some(access.len()) == record.len {
            return Ok(StoredSource::new(access, url.to_owned()));
        }
    }
    let remote = remote?;
    let part = folder.len(&name).await;
    let resumable = remote.can_resume();
    let resume = current && !record.complete && resumable && remote.len.is_none_or(|len| part <= len);
    let record = Record { url: url.to_owned(), tag: remote.tag.clone(), len: remote.len, complete: false };
    match fill(&folder, &name, &record, if resume { part } else { 0 }, remote, on_download).await {
        Ok(len) => folder.set_record(&name, &Record { len: Some(len), complete: true, ..record }).await?,
        // Another tab is at it.
        Err(error @ WebError::StoreBusy { .. }) => return Err(error),
        Err(error) => {
            let part = folder.len(&name).await;
            if !resumable || error.code() == ErrorCode::SourceChanged || part == 0 {
                folder.remove(&name).await;
            }
            let need = record.len.map(|len| len.saturating_sub(part));
            return Err(if matches!(error, WebError::Quota { .. }) { WebError::Quota { name: record.url, need } } else { error });
        }
    }
    Ok(StoredSource::new(folder.access(&name, true).await?, url.to_owned()))
}

/// Copies what is missing after the first `done` bytes; gives the length of the whole.
async fn fill(folder: &Folder, name: &str, record: &Record, done: u64, remote: Remote, on_download: OnDownload) -> Result<u64, WebError> {
    let access = folder.access(name, false).await?;
    if done == 0 {
        // What is there belongs to no version, until the new record says so.
        folder.set_record(name, &Record::default()).await?;
        make_room(&access, &remote)?;
    }
    folder.set_record(name, record).await?;
    let mut copy = Copy { remote, access, done, told: 0, on_download };
    copy.run().await?;
    Ok(copy.done)
}

/// Empties a file, having seen that the whole fits: browsers round what they tell of free space.
fn make_room(access: &Access, remote: &Remote) -> Result<(), WebError> {
    let resize = |len: u64| access.0.truncate_with_f64(len as f64).map_err(|thrown| WebError::from_storage(&remote.url, &thrown));
    resize(0)?;
    resize(remote.len.unwrap_or(0))?;
    resize(0)
}

/// Whether a copy is of the version that the server has now.
fn same_version(record: &Record, remote: &Remote) -> bool {
    let lengths = match (record.len, remote.len) {
        (Some(stored), Some(now)) => stored == now,
        _ => true,
    };
    record.url == remote.url && record.tag == remote.tag && lengths
}

/// A name that shows what it is and differs for different addresses.
fn file_name(url: &str) -> String {
    // FNV-1a, 64 bits.
    let hash = url.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let stem = last.strip_suffix(".gguf").unwrap_or(last);
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let stem: String = stem.chars().take(80).map(plain).collect();
    format!("{stem}-{hash:016x}.gguf")
}

struct Copy {
    remote: Remote,
    access: Access,
    /// Bytes stored so far.
    done: u64,
    /// Bytes at the last report.
    told: u64,
    on_download: OnDownload,
}

impl Copy {
    async fn run(&mut self) -> Result<(), WebError> {
        let mut failures = 0;
        loop {
            let before = self.done;
            let reason = match self.attempt().await {
                Ok(()) => return Ok(()),
                Err(Stop::Web(error)) => return Err(error),
                Err(Stop::Http(Failure::Final(error))) => return Err(error.into()),
                Err(Stop::Http(Failure::Retry(reason))) => reason,
            };
            failures = if self.done > before { 1 } else { failures + 1 };
            if failures >= ATTEMPTS {
                let url = self.remote.url.clone();
                return Err(SourceError::Network { url, attempts: failures, reason }.into());
            }
            pause(failures).await;
        }
    }

    /// One request for everything that is still missing.
    async fn attempt(&mut self) -> Result<(), Stop> {
        if self.remote.len == Some(self.done) {
            return Ok(());
        }
        let url = self.remote.url.clone();
        let range = (self.done > 0).then(|| format!("bytes={}-", self.done));
        let asked_range = range.is_some();
        let response = request(&url, range).await?;
        let begins = format!("bytes {}-", self.done);
        match response.status() {
            206 if asked_range && header(&response, "content-range").is_none_or(|range| range.starts_with(&begins)) => {}
            206 => {
                let (header, value) = ("Content-Range", header(&response, "content-range").unwrap_or_default());
                return Err(Failure::Final(SourceError::Header { url, header, value }).into());
            }
            // The whole file once more: whatever is stored is written over.
            200 => self.done = 0,
            416 => return Err(self.changed("it became shorter")),
            _ => return Err(status_failure(&url, &response).into()),
        }
        if tag_of(&response) != self.remote.tag {
            return Err(self.changed("it has a new tag"));
        }
        if self.done == 0 {
            self.access.0.truncate_with_u32(0).map_err(|thrown| self.storage(&thrown))?;
        }
        let len = self.remote.len.or_else(|| Some(self.done + length_of(&response)?));
        self.take_body(&response, len).await?;
        if len.is_some_and(|len| self.done < len) {
            return Err(Failure::Retry("the connection closed early".to_owned()).into());
        }
        self.access.0.flush().map_err(|thrown| self.storage(&thrown))
    }

    /// Stores a body that ends the file, whose length is `len` where it is known: nothing is written beyond it.
    async fn take_body(&mut self, response: &Response, len: Option<u64>) -> Result<(), Stop> {
        let body = Body::of(response);
        loop {
            let room = len.map_or(u64::MAX, |len| len.saturating_sub(self.done));
            match body.next(room).await {
                Ok(Some(chunk)) => self.write(&chunk).inspect_err(|_| body.cancel())?,
                Ok(None) => break,
                Err(Broken::TooLong) => return Err(self.changed("it became longer")),
                Err(Broken::Connection(reason)) => return Err(Failure::Retry(reason).into()),
            }
        }
        self.report();
        Ok(())
    }

    fn write(&mut self, chunk: &Uint8Array) -> Result<(), Stop> {
        let options = FileSystemReadWriteOptions::new();
        options.set_at(self.done as f64);
        let written = self.access.0.write_with_js_u8_array_and_options(chunk, &options).map_err(|thrown| self.storage(&thrown))?;
        self.done += written as u64;
        if written as u64 != u64::from(chunk.length()) {
            return Err(Stop::Web(WebError::Quota { name: self.remote.url.clone(), need: None }));
        }
        if self.done - self.told.min(self.done) >= REPORT {
            self.report();
        }
        Ok(())
    }

    fn report(&mut self) {
        self.told = self.done;
        (self.on_download)(self.done, self.remote.len.unwrap_or(0));
    }

    fn changed(&self, what: &str) -> Stop {
        let error = SourceError::Changed { name: self.remote.url.clone(), what: what.to_owned() };
        Stop::Http(Failure::Final(error))
    }

    fn storage(&self, thrown: &JsValue) -> Stop {
        Stop::Web(WebError::from_storage(&self.remote.url, thrown))
    }
}

/// Why an attempt ended early.
enum Stop {
    Http(Failure),
    Web(WebError),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Http(failure)
    }
}
