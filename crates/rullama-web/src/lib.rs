//! rullama in a browser: the engine behind wasm-bindgen, and byte sources over a picked file, an address and the
//! browser's private storage. The TypeScript package in `web/packages/rullama` is its only user; structured values
//! cross the border as JSON text.
//!
//! ```js
//! const engine = await WebEngine.load({ url }, JSON.stringify({ subgroups: true }), (json) => show(json));
//! const chat = await engine.chat_open('{"system":"Answer briefly."}');
//! await engine.chat_send(chat, '[{"role":"user","content":"Hi"}]', '{}', (json) => show(json));
//! ```

#[cfg(target_arch = "wasm32")]
mod adapters;
#[cfg(all(target_arch = "wasm32", feature = "cases"))]
pub mod cases;
#[cfg(target_arch = "wasm32")]
mod copies;
#[cfg(target_arch = "wasm32")]
mod engine;
#[cfg(target_arch = "wasm32")]
pub mod error;
#[cfg(target_arch = "wasm32")]
mod formats;
#[cfg(all(target_arch = "wasm32", feature = "cases"))]
pub mod golden;
#[cfg(target_arch = "wasm32")]
mod js;
pub mod kept;
#[cfg(target_arch = "wasm32")]
mod media;
#[cfg(target_arch = "wasm32")]
mod options;
#[cfg(target_arch = "wasm32")]
mod respond;
#[cfg(target_arch = "wasm32")]
pub mod source;
#[cfg(all(target_arch = "wasm32", feature = "train"))]
mod tune;

#[cfg(target_arch = "wasm32")]
pub use engine::WebEngine;
