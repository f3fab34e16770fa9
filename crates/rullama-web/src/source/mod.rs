//! Byte sources over the browser's own: a picked file, an address, a stored copy of an address.

mod blob;
mod blocks;
mod download;
mod http;
mod stored;

use std::{rc::Rc, sync::Arc};

use rullama_source::ByteSource;
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

/// A source, and what is read ahead of it.
pub struct Opened {
    pub bytes: Arc<dyn ByteSource>,
    blocks: Option<Rc<Blocks>>,
}

impl Opened {
    /// Lets go of what was read ahead: a model that is loaded reads no more from a network.
    pub fn loaded(&self) {
        if let Some(blocks) = &self.blocks {
            blocks.forget();
        }
    }
}

/// Opens `{ url }` or `{ blob, name }`. `rows` says that single rows will be asked for per token.
///
/// # Errors
/// [`WebError`]: an address that cannot be reached or stored, or a value that is neither.
#[allow(clippy::arc_with_non_send_sync, reason = "everything is one thread here")]
pub async fn open(source: &JsValue, store: Store, rows: bool, on_download: OnDownload) -> Result<Opened, WebError> {
    if let Some(blob) = js::get(source, "blob").dyn_ref::<web_sys::Blob>() {
        let name = js::get_string(source, "name").unwrap_or_else(|| "the file".to_owned());
        return Ok(Opened { bytes: Arc::new(BlobSource::new(blob.clone(), name)), blocks: None });
    }
    let Some(url) = js::get_string(source, "url") else {
        let what = "The source is neither an address nor a file.".to_owned();
        return Err(WebError::Argument { what });
    };
    open_url(&url, store, rows, on_download).await
}

#[allow(clippy::arc_with_non_send_sync, reason = "everything is one thread here")]
async fn open_url(url: &str, store: Store, rows: bool, on_download: OnDownload) -> Result<Opened, WebError> {
    let remote = Remote::probe(url).await;
    let whole_only = matches!(&remote, Ok(remote) if !remote.ranges);
    if store == Store::Always || (store == Store::Auto && (rows || whole_only)) {
        return Ok(Opened { bytes: Arc::new(download(url, remote, on_download).await?), blocks: None });
    }
    let source = UrlSource::new(remote?)?;
    let blocks = Some(source.blocks());
    Ok(Opened { bytes: Arc::new(source), blocks })
}
