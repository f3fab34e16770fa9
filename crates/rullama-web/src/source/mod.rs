//! Byte sources over the browser's own: a picked file, an address, a stored copy of an address.

mod blob;
mod blocks;
mod http;
mod readers;
mod stored;

use std::{rc::Rc, sync::Arc};

use rullama_source::{
    ByteSource, JoinedSource, SourceError,
    gguf::{GgufError, PartName, in_order, part_names},
};
use wasm_bindgen::{JsCast, JsValue};

use crate::{error::WebError, js};

pub use blob::BlobSource;
pub use blocks::Blocks;
pub use http::{Remote, UrlSource};
pub use stored::StoredSource;

/// When an address is copied into the browser's private storage first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// Where the address cannot be read in pieces, or would be asked for single rows.
    #[default]
    Auto,
    Always,
    Never,
}

/// How a file is going to be read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub store: Store,
    /// Single rows or experts will be asked for per token.
    pub by_rows: bool,
    /// A table may be read by rows while it arrives.
    pub may_arrive: bool,
}

/// A source, and what is read ahead of its files.
pub struct Opened {
    pub bytes: Arc<dyn ByteSource>,
    /// Whether rows of a table still come over a network, and can be read by rows alone.
    pub arriving: bool,
    blocks: Vec<Rc<Blocks>>,
}

impl Opened {
    /// Lets go of what was read ahead: a model that is loaded reads no more from a network.
    pub fn loaded(&self) {
        self.blocks.iter().for_each(|blocks| blocks.forget());
    }
}

/// Opens `{ url, keep }`, `{ blob, name }`, `{ file, name }` or, of a split model, `{ parts }`, a list of the latter in any order; where an address is that
/// of a part, also those of the others. `keep` stores an address, where there is such a storage.
///
/// # Errors
/// [`WebError`]: an address that cannot be reached or stored, or a value that is neither.
#[allow(clippy::arc_with_non_send_sync, reason = "everything is one thread here")]
pub async fn open(source: &JsValue, reading: Reading) -> Result<Opened, WebError> {
    if let Some(file) = file(source) {
        return Ok(Opened { bytes: file, arriving: false, blocks: Vec::new() });
    }
    if let Some(files) = js::get(source, "parts").dyn_ref::<js_sys::Array>() {
        return picked(files).await;
    }
    let Some(url) = js::get_string(source, "url") else {
        let what = "The source is neither an address nor a file.".to_owned();
        return Err(WebError::Argument { what });
    };
    let keep = js::get(source, "keep");
    let named = open_url(&url, &keep, reading).await?;
    with_parts(named, &url, &keep, reading).await
}

/// One file, picked or opened by the package.
#[allow(clippy::arc_with_non_send_sync, reason = "everything is one thread here")]
fn file(source: &JsValue) -> Option<Arc<dyn ByteSource>> {
    if let Some(file) = StoredSource::of(source) {
        return Some(Arc::new(file));
    }
    BlobSource::of(source).map(|blob| Arc::new(blob) as Arc<dyn ByteSource>)
}

/// A model from files that were chosen together.
#[allow(clippy::arc_with_non_send_sync, reason = "everything is one thread here")]
async fn picked(files: &js_sys::Array) -> Result<Opened, WebError> {
    let mut parts: Vec<Arc<dyn ByteSource>> = Vec::new();
    for file in files.iter() {
        let no_file = || WebError::Argument { what: "A part of the model is no file.".to_owned() };
        parts.push(self::file(&file).ok_or_else(no_file)?);
    }
    let parts = in_order(parts).await.map_err(rullama::Error::from)?;
    let bytes: Arc<dyn ByteSource> = match &parts[..] {
        [] => return Err(WebError::Argument { what: "The model has no file.".to_owned() }),
        [one] => one.clone(),
        _ => Arc::new(JoinedSource::new(parts)),
    };
    Ok(Opened { bytes, arriving: false, blocks: Vec::new() })
}

/// The whole model, where the address is that of a part.
#[allow(clippy::arc_with_non_send_sync, reason = "everything is one thread here")]
async fn with_parts(named: Opened, url: &str, keep: &JsValue, reading: Reading) -> Result<Opened, WebError> {
    let names = part_names(&*named.bytes, url).await.map_err(rullama::Error::from)?;
    let (Some(names), Some(own)) = (names, PartName::parse(url)) else { return Ok(named) };
    let (mut parts, mut blocks, mut arriving) = (Vec::with_capacity(names.len()), named.blocks, named.arriving);
    for (number, name) in (1..).zip(&names) {
        if number == own.number {
            parts.push(named.bytes.clone());
            continue;
        }
        let part = open_url(name, keep, reading).await.map_err(|error| missing_part(error, url, &own, number))?;
        arriving |= part.arriving;
        parts.push(part.bytes);
        blocks.extend(part.blocks);
    }
    Ok(Opened { bytes: Arc::new(JoinedSource::new(parts)), arriving, blocks })
}

/// An address that is not there, as the part that it should have been.
fn missing_part(error: WebError, url: &str, own: &PartName, number: u32) -> WebError {
    match error {
        WebError::Source(SourceError::Status { status: 404 | 410, .. }) => {
            let (name, looked_for) = (url.to_owned(), vec![own.with(number)]);
            let missing = GgufError::MissingParts { name, number: own.number, count: own.count, missing: vec![number], looked_for };
            WebError::Engine(missing.into())
        }
        other => other,
    }
}

#[allow(clippy::arc_with_non_send_sync, reason = "everything is one thread here")]
async fn open_url(url: &str, keep: &JsValue, reading: Reading) -> Result<Opened, WebError> {
    let stored = |stored: StoredSource| Opened { arriving: stored.arriving(), bytes: Arc::new(stored), blocks: Vec::new() };
    let Reading { store, by_rows, may_arrive } = reading;
    let needed = store == Store::Always || (store == Store::Auto && by_rows);
    // The package asks the server by itself, also whether a copy is still the server's file.
    if store != Store::Never
        && let Some(copy) = StoredSource::keep(keep, url, needed, may_arrive).await?
    {
        return Ok(stored(copy));
    }
    let remote = Remote::probe(url).await?;
    if !remote.ranges
        && store == Store::Auto
        && let Some(copy) = StoredSource::keep(keep, url, true, may_arrive).await?
    {
        return Ok(stored(copy));
    }
    let source = UrlSource::new(remote)?;
    let blocks = vec![source.blocks()];
    Ok(Opened { bytes: Arc::new(source), arriving: false, blocks })
}
