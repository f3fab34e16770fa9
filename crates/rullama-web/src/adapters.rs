//! Adapters of a loaded model: read from files, and attached to conversations by number.

use js_sys::{Array, Uint8Array};
use rullama::adapter::{Adapter, AdapterError, Blob, Precision, gguf, peft};
use rullama::source::ByteSource;
use rullama::{Engine, EngineAdapter};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};

use crate::engine::WebEngine;
use crate::error::WebError;
use crate::kept::Kept;
use crate::source::BlobSource;
use crate::{js, options};

/// Most adapters that a conversation has at once.
const MOST: usize = 64;
/// Name of the GGUF form.
const GGUF: &str = "adapter.gguf";

/// An adapter that is to be attached.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attach {
    adapter: u32,
    scale: f32,
}

#[wasm_bindgen]
impl WebEngine {
    /// Reads an adapter from its files, `{ blob, name }` each, and puts it on the GPU.
    pub async fn adapter_open(&self, files: Array) -> Result<String, JsValue> {
        let adapter = read(&files).await?;
        let engine = self.engine()?;
        Ok(put(&engine, &self.adapters, &adapter).await?)
    }

    /// An adapter's files in the form `peft` or `gguf`, under a name of its own where one is given.
    pub async fn adapter_convert(&self, files: Array, form: String, name: Option<String>) -> Result<Array, JsValue> {
        let adapter = read(&files).await?;
        let name = name.unwrap_or_else(|| adapter.name.clone());
        Ok(write(&Adapter { name, ..adapter }, &form)?)
    }

    /// Forgets an adapter; a conversation that has it attached keeps it.
    pub fn adapter_close(&self, adapter: u32) {
        self.adapters.remove(adapter);
    }

    /// Attaches adapters, `[{ adapter, scale }]`, to a conversation in place of those that it has.
    pub fn chat_adapters(&self, chat: u32, adapters: &str) -> Result<(), JsValue> {
        let adapters = self.attached(adapters)?;
        let mut open = self.take(chat)?;
        let result = open.set_adapters(&adapters);
        self.chats.put_back(chat, open);
        Ok(result.map_err(WebError::from)?)
    }
}

impl WebEngine {
    /// The adapters of a list `[{ adapter, scale }]`.
    pub fn attached(&self, list: &str) -> Result<Vec<(EngineAdapter, f32)>, WebError> {
        let list: Vec<Attach> = options::parse("list of adapters", list)?;
        if list.len() > MOST {
            return Err(WebError::Argument { what: format!("{} adapters at once are more than {MOST}.", list.len()) });
        }
        let missing = |adapter: u32| WebError::Argument { what: format!("Adapter {adapter} was unloaded.") };
        list.iter().map(|one| Ok((self.adapters.get(one.adapter).ok_or_else(|| missing(one.adapter))?, one.scale))).collect()
    }
}

/// Puts an adapter on the engine's device and under a number; what it is as JSON text.
pub async fn put(engine: &Engine, kept: &Kept<EngineAdapter>, adapter: &Adapter) -> Result<String, WebError> {
    let on_device = engine.adapter(adapter).await?;
    let number = kept.reserve();
    let about = json!({
        "adapter": number,
        "name": adapter.name,
        "bytes": on_device.bytes(),
        "rank": adapter.info.rank,
        "alpha": adapter.info.alpha,
        "base": adapter.info.base,
        "leftOut": adapter.info.left_out,
    });
    kept.put_back(number, on_device);
    Ok(about.to_string())
}

async fn read(files: &Array) -> Result<Adapter, WebError> {
    let sources = files.iter().map(|file| source(&file)).collect::<Result<Vec<_>, _>>()?;
    rullama::adapter::read(&sources).await.map_err(unusable)
}

/// An adapter as files, `{ name, bytes }` each.
pub fn write(adapter: &Adapter, form: &str) -> Result<Array, WebError> {
    let blobs = match form {
        "gguf" => gguf::write(adapter, Precision::F32, GGUF, None),
        _ => peft::write(adapter, Precision::F32),
    };
    Ok(blobs.map_err(unusable)?.into_iter().map(file).collect())
}

fn file(blob: Blob) -> JsValue {
    js::object(&[("name", blob.name.into()), ("bytes", Uint8Array::from(&blob.bytes[..]).into())]).into()
}

fn unusable(error: AdapterError) -> WebError {
    rullama::Error::Model(error.into()).into()
}

#[allow(clippy::arc_with_non_send_sync, reason = "everything is one thread here")]
fn source(file: &JsValue) -> Result<Arc<dyn ByteSource>, WebError> {
    let blob = js::get(file, "blob").dyn_into::<web_sys::Blob>();
    let blob = blob.map_err(|_| WebError::Argument { what: "An adapter's file is no file.".to_owned() })?;
    let name = js::get_string(file, "name").unwrap_or_else(|| "the adapter".to_owned());
    Ok(Arc::new(BlobSource::new(blob, name)))
}
