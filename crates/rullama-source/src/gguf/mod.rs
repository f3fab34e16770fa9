//! The GGUF container: header, metadata and tensor index, read by ranges.
//!
//! Layout (little-endian, packed): magic, version, tensor count, pair count, key-value pairs, tensor
//! infos, zero padding to the alignment, tensor data. [`Gguf::open`] reads the header only, in
//! pieces of 1 to 4 MiB that it forgets as it goes; tensor data stays where it is.
//!
//! Source: llama.cpp `ggml/src/gguf.cpp`, `gguf_init_from_file_impl`.

mod error;
mod metadata;
mod parse;
mod reader;
mod split;
mod tensors;
mod value;
pub mod write;

pub use error::{GgufError, MetadataError};
pub use metadata::Metadata;
pub use split::{MAX_PARTS, PartName, Split, in_order, part_names, peek};
pub use tensors::{GgmlType, TensorIndex, TensorInfo, TensorType};
pub use value::{Array, StringArray, Value};

use crate::source::ByteSource;

/// Most metadata pairs and most tensors that a file may have; real models have under 3,000.
pub const MAX_ENTRIES: u64 = 65_536;
/// Longest metadata key in bytes, as the format says.
pub const MAX_KEY: u64 = 65_535;
/// Longest string value in bytes (as Ollama has it).
pub const MAX_STRING: u64 = 16 << 20;
/// Most elements of an array (as Ollama has it).
pub const MAX_ARRAY: u64 = 64 << 20;
/// Longest header in bytes, vocabulary and tensor list included; those of published models have under 40 MB.
pub const MAX_HEADER: u64 = 128 << 20;
/// Longest tensor name in bytes (`GGML_MAX_NAME` counts a terminating zero).
pub const MAX_TENSOR_NAME: u64 = 63;
/// Largest alignment of the data section.
pub const MAX_ALIGNMENT: u32 = 1 << 20;
/// Alignment of a file that does not give `general.alignment`.
pub const DEFAULT_ALIGNMENT: u32 = 32;

/// A file's header: what is in it and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Gguf {
    /// 2 or 3; the two have the same layout.
    pub version: u32,
    /// Key-value pairs.
    pub metadata: Metadata,
    /// Tensors by name.
    pub tensors: TensorIndex,
    /// `general.alignment`, or 32.
    pub alignment: u32,
    /// Where the data section starts.
    pub data_start: u64,
    /// Length of the source.
    pub file_len: u64,
}

impl Gguf {
    /// Reads and checks the header of `source`.
    ///
    /// Structure only: whether the keys and tensors make a model is the model's business. Memory
    /// stays under one piece plus the metadata itself, whatever counts the file claims. The parts of a
    /// [`JoinedSource`](crate::JoinedSource) make one model: metadata of the first, tensors of all.
    ///
    /// # Errors
    /// [`GgufError`], naming the field or tensor and its offset; [`GgufError::MissingParts`] for a part alone.
    pub async fn open(source: &dyn ByteSource) -> Result<Self, GgufError> {
        match source.parts() {
            [] => {
                let file = parse::parse(source).await?;
                split::refuse_part(source.name(), &file)?;
                Ok(file)
            }
            parts => split::join(source, parts).await,
        }
    }
}
