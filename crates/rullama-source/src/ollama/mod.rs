//! Ollama's models: names, manifests and, natively, the store on disk.
//!
//! A name such as `gemma4:e2b` stands for a manifest (`manifests/<host>/<namespace>/<model>/<tag>`)
//! that lists blobs (`blobs/sha256-<hex>`): the GGUF file, sampling parameters, a system prompt, ...
//! Names and manifests are plain text handling and work everywhere; only [`Store`] needs a disk.
//!
//! Source: Ollama `types/model/name.go`, `manifest/paths.go`, `server/images.go`.

mod error;
mod manifest;
mod name;
mod params;
mod roots;
#[cfg(not(target_arch = "wasm32"))]
mod store;
#[cfg(not(target_arch = "wasm32"))]
mod verify;

pub use error::{ManifestError, NameError, StoreError};
pub use manifest::{Config, Digest, Layer, LayerKind, Manifest};
pub use name::ModelName;
pub use params::{Params, StoredMessage};
pub use roots::{Os, default_roots};
#[cfg(not(target_arch = "wasm32"))]
pub use store::{Blob, Listed, Listing, Resolved, Store};
#[cfg(not(target_arch = "wasm32"))]
pub use verify::{is_verified, verify};
