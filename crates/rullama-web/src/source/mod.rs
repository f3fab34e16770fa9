//! Byte sources over the browser's own: a picked file, an address, a stored copy of an address.

mod blob;
mod blocks;
mod download;
mod http;
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
pub use download::download;
pub use http::{Remote, UrlSource};
pub use stored::{Folder, StoredSource};

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

/// Bytes stored and bytes in all, 0 while unknown.
pub type OnDownload = Rc<dyn Fn(u64, u64)>;

/// A source, and what is read ahead of its files.
pub struct Opened {
    pub bytes: Arc<dyn ByteSource>,
    blocks: Vec<Rc<Blocks>>,
}

impl Opened {
    /// Lets go of what was read ahead: a model that is loaded reads no more from a network.
    pub fn loaded(&self) {
        self.blocks.iter().for_each(|blocks| blocks.forget());
    }
}

/// Opens `{ url }`, `{ blob, name }` or, of a split model, `{ parts }`, a list of the latter in any order; where an address is that of
/// a part, also those of the others. `rows` says that single rows will be asked for per token.
///
/// # Errors
/// [`WebError`]: an address that cannot be reached or stored, or a value that is neither.
#[allow(clippy::arc_with_non_send_sync, reason = "everything is one thread here")]
pub async fn open(source: &JsValue, store: Store, rows: bool, on_download: OnDownload) -> Result<Opened, WebError> {
    if let Some(blob) = js::get(source, "blob").dyn_ref::<web_sys::Blob>() {
        let name = js::get_string(source, "name").unwrap_or_else(|| "the file".to_owned());
        return Ok(Opened { bytes: Arc::new(BlobSource::new(blob.clone(), name)), blocks: Vec::new() });
    }
    if let Some(files) = js::get(source, "parts").dyn_ref::<js_sys::Array>() {
        return picked(files).await;
    }
    let Some(url) = js::get_string(source, "url") else {
        let what = "The source is neither an address nor a file.".to_owned();
        return Err(WebError::Argument { what });
    };
    let named = open_url(&url, store, rows, on_download.clone()).await?;
    with_parts(named, &url, store, rows, on_download).await
}

/// A model from files that were chosen together.
#[allow(clippy::arc_with_non_send_sync, reason = "everything is one thread here")]
async fn picked(files: &js_sys::Array) -> Result<Opened, WebError> {
    let mut parts: Vec<Arc<dyn ByteSource>> = Vec::new();
    for file in files.iter() {
        let Ok(blob) = js::get(&file, "blob").dyn_into::<web_sys::Blob>() else {
            return Err(WebError::Argument { what: "A part of the model is no file.".to_owned() });
        };
        parts.push(Arc::new(BlobSource::new(blob, js::get_string(&file, "name").unwrap_or_else(|| "a part".to_owned()))));
    }
    let parts = in_order(parts).await.map_err(rullama::Error::from)?;
    let bytes: Arc<dyn ByteSource> = match &parts[..] {
        [] => return Err(WebError::Argument { what: "The model has no file.".to_owned() }),
        [one] => one.clone(),
        _ => Arc::new(JoinedSource::new(parts)),
    };
    Ok(Opened { bytes, blocks: Vec::new() })
}

/// The whole model, where the address is that of a part.
#[allow(clippy::arc_with_non_send_sync, reason = "everything is one thread here")]
async fn with_parts(named: Opened, url: &str, store: Store, rows: bool, on_download: OnDownload) -> Result<Opened, WebError> {
    let names = part_names(&*named.bytes, url).await.map_err(rullama::Error::from)?;
    let (Some(names), Some(own)) = (names, PartName::parse(url)) else { return Ok(named) };
    let mut before = named.bytes.len();
    let (mut parts, mut blocks) = (Vec::with_capacity(names.len()), named.blocks);
    for (number, name) in (1..).zip(&names) {
        if number == own.number {
            parts.push(named.bytes.clone());
            continue;
        }
        // What is stored counts on from part to part.
        let (told, start) = (on_download.clone(), before);
        let on_part: OnDownload = Rc::new(move |done, total| told(start + done, if total == 0 { 0 } else { start + total }));
        let part = open_url(name, store, rows, on_part).await.map_err(|error| missing_part(error, url, &own, number))?;
        before += part.bytes.len();
        parts.push(part.bytes);
        blocks.extend(part.blocks);
    }
    Ok(Opened { bytes: Arc::new(JoinedSource::new(parts)), blocks })
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
async fn open_url(url: &str, store: Store, rows: bool, on_download: OnDownload) -> Result<Opened, WebError> {
    let remote = Remote::probe(url).await;
    let whole_only = matches!(&remote, Ok(remote) if !remote.ranges);
    if store == Store::Always || (store == Store::Auto && (rows || whole_only)) {
        return Ok(Opened { bytes: Arc::new(download(url, remote, on_download).await?), blocks: Vec::new() });
    }
    let source = UrlSource::new(remote?)?;
    let blocks = vec![source.blocks()];
    Ok(Opened { bytes: Arc::new(source), blocks })
}
