//! Where a model's bytes come from, and how they are found in there.
//!
//! - [`ByteSource`]: a thing of known length that is read by ranges: [`MemorySource`], and natively
//!   `FileSource` and `HttpSource`. A browser shell adds its own (a picked file). A [`JoinedSource`] is
//!   several of them, the parts of one model; natively `open_path` and `open_url` find these.
//! - [`rows`]: rows of a weight, read and rearranged, here or on another thread.
//! - [`gguf`]: the GGUF container, parsed by ranges and never as a whole, and written as a stream.
//! - [`ollama`]: model names, manifests and, natively, Ollama's store on disk.
//!
//! Everything that is read here may be hostile: each count is checked against the bytes that are left
//! before it is believed, and errors name the field or tensor, its offset and the remedy.
//!
//! ```
//! use rullama_source::{MemorySource, gguf::{Gguf, Metadata, Value, write::GgufWriter}};
//!
//! let mut metadata = Metadata::default();
//! metadata.set("general.architecture", Value::String("gemma4".into()));
//! let mut writer = GgufWriter::new(metadata)?;
//! writer.add("output_norm.weight", &[4], rullama_source::gguf::GgmlType::F32)?;
//! let mut stream = writer.start(Vec::new())?;
//! stream.write("output_norm.weight", &[0; 16])?;
//! let bytes = stream.finish()?;
//!
//! let source = MemorySource::new("example", bytes);
//! let file = pollster::block_on(Gguf::open(&source))?;
//! assert_eq!(file.metadata.str("general.architecture")?, "gemma4");
//! assert_eq!(file.tensors.require("output_norm.weight")?.dims, [4]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod coalesce;
#[cfg(not(target_arch = "wasm32"))]
mod file;
pub mod foreign;
pub mod gguf;
#[cfg(not(target_arch = "wasm32"))]
mod http;
mod joined;
mod memory;
pub mod ollama;
#[cfg(not(target_arch = "wasm32"))]
mod open;
pub mod parallel;
#[cfg(not(target_arch = "wasm32"))]
pub mod remembered;
pub mod rows;
mod source;

#[cfg(not(target_arch = "wasm32"))]
pub use file::FileSource;
#[cfg(not(target_arch = "wasm32"))]
pub use http::{HttpOptions, HttpSource};
pub use joined::JoinedSource;
pub use memory::MemorySource;
#[cfg(not(target_arch = "wasm32"))]
pub use open::{open_path, open_url};
pub use source::{BoxFuture, ByteSource, Locality, MaybeSendSync, SourceError};
