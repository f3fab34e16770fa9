//! A safetensors file, read by ranges: eight bytes of length, a JSON header of that length, the data.
//!
//! Source: <https://huggingface.co/docs/safetensors>; the crate checks that ranges follow each other and fit their shapes.

use crate::{AdapterError, MAX_VALUES, values};
use rullama_quant::DType;
use rullama_source::{ByteSource, SourceError};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use std::collections::HashMap;

/// Longest header; that of an adapter for every layer of a large model has some megabytes.
const MAX_HEADER: u64 = 16 << 20;

/// The header of a file, and the file.
pub(crate) struct Tensors<'a> {
    source: &'a dyn ByteSource,
    header: Metadata,
    /// Where the data begins.
    start: u64,
}

impl<'a> Tensors<'a> {
    /// Reads and checks the header.
    ///
    /// # Errors
    /// [`AdapterError::Header`], [`AdapterError::TooLarge`]; of the source.
    pub async fn open(source: &'a dyn ByteSource) -> Result<Self, AdapterError> {
        let wrong = |reason: String| AdapterError::Header { file: source.name().to_owned(), reason };
        let cut = || wrong(format!("the file ends in it, after {} bytes", source.len()));
        let Ok(size) = <[u8; 8]>::try_from(&source.read(0, source.len().min(8) as usize).await?[..]) else { return Err(cut()) };
        let size = u64::from_le_bytes(size);
        if size > MAX_HEADER {
            let (file, what) = (source.name().to_owned(), "bytes of the safetensors header");
            return Err(AdapterError::TooLarge { file, what, value: size, limit: MAX_HEADER });
        }
        if size > source.len() - 8 {
            return Err(cut());
        }
        let json = source.read(8, size as usize).await?;
        let header: Metadata = serde_json::from_slice(&json).map_err(|error| wrong(error.to_string()))?;
        let start = 8 + size;
        let (expected, found) = (start.saturating_add(header.data_len() as u64), source.len());
        if expected != found {
            return Err(wrong(format!("its tensors end at byte {expected}, the file has {found}")));
        }
        Ok(Self { source, header, start })
    }

    /// What messages call the file.
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// Names in the order of the file.
    pub fn names(&self) -> Vec<String> {
        self.header.offset_keys()
    }

    /// The texts that come with the tensors.
    pub fn texts(&self) -> Option<&HashMap<String, String>> {
        self.header.metadata().as_ref()
    }

    fn info(&self, name: &str) -> Result<&TensorInfo, AdapterError> {
        self.header.info(name).ok_or_else(|| self.problem(name, "is missing"))
    }

    /// Rows and columns of a matrix.
    ///
    /// # Errors
    /// [`AdapterError::Tensor`] for one that is none, or larger than any matrix of an adapter.
    pub fn matrix(&self, name: &str) -> Result<[u32; 2], AdapterError> {
        let shape = &self.info(name)?.shape;
        let size = |size: usize| u32::try_from(size).ok().filter(|size| (1..=1 << 24).contains(size));
        match shape[..] {
            [rows, cols] if rows.checked_mul(cols).is_some_and(|n| n as u64 <= MAX_VALUES) => size(rows).zip(size(cols)),
            _ => None,
        }
        .map(|(rows, cols)| [rows, cols])
        .ok_or_else(|| self.problem(name, format!("its shape is {shape:?}, a matrix is expected")))
    }

    /// All values.
    ///
    /// # Errors
    /// Another type than F32, F16 and BF16, values that are not finite; of the source.
    pub async fn values(&self, name: &str) -> Result<Vec<f32>, AdapterError> {
        let info = self.info(name)?;
        let dtype = match info.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            other => {
                return Err(AdapterError::Tensor {
                    file: self.file().to_owned(),
                    tensor: name.to_owned(),
                    problem: format!("its type is {other}"),
                    remedy: "Save the adapter in F32, F16 or BF16.",
                });
            }
        };
        let len = (info.data_offsets.1 - info.data_offsets.0) / dtype.block_bytes();
        values::read(self.source, name, dtype, self.start + info.data_offsets.0 as u64, len).await
    }

    /// A tensor that only another file can mend.
    pub fn problem(&self, tensor: &str, problem: impl Into<String>) -> AdapterError {
        values::problem(self.file(), tensor, problem)
    }
}

/// The whole of a small file.
///
/// # Errors
/// [`AdapterError::TooLarge`]; of the source.
pub(crate) async fn whole(source: &dyn ByteSource, what: &'static str, limit: u64) -> Result<Vec<u8>, AdapterError> {
    if source.len() > limit {
        return Err(AdapterError::TooLarge { file: source.name().to_owned(), what, value: source.len(), limit });
    }
    let len = usize::try_from(source.len()).map_err(|_| SourceError::OutOfMemory { name: source.name().to_owned(), len: source.len() })?;
    Ok(source.read(0, len).await?)
}
