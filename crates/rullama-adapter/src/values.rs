//! Values of a tensor, read in pieces.

use crate::AdapterError;
use rullama_quant::{DType, decode};
use rullama_source::{ByteSource, SourceError};

/// Values of a piece: whole blocks of every format.
const PIECE: usize = 1 << 20;

/// `len` values of `dtype` from `start` on, all of them finite.
///
/// # Errors
/// Of the source; no memory; [`AdapterError::Tensor`] for a value that is not finite.
pub(crate) async fn read(source: &dyn ByteSource, tensor: &str, dtype: DType, start: u64, len: usize) -> Result<Vec<f32>, AdapterError> {
    let mut values = Vec::new();
    let no_memory = |_| SourceError::OutOfMemory { name: source.name().to_owned(), len: 4 * len as u64 };
    values.try_reserve_exact(len).map_err(no_memory)?;
    let bytes_of = |values: usize| values / dtype.block_len() * dtype.block_bytes();
    while values.len() < len {
        let (done, count) = (values.len(), PIECE.min(len - values.len()));
        let piece = source.read(start + bytes_of(done) as u64, bytes_of(count)).await?;
        values.resize(done + count, 0.0);
        let wrong = |error: rullama_quant::QuantError| problem(source.name(), tensor, error.to_string());
        decode(dtype, &piece, &mut values[done..]).map_err(wrong)?;
    }
    match values.iter().find(|value| !value.is_finite()) {
        Some(bad) => Err(problem(source.name(), tensor, format!("it holds the value {bad}"))),
        None => Ok(values),
    }
}

/// A tensor that only another file can mend.
pub(crate) fn problem(file: &str, tensor: &str, problem: impl Into<String>) -> AdapterError {
    let remedy = "Save the adapter again from a training state that is right, or download it again.";
    AdapterError::Tensor { file: file.to_owned(), tensor: tensor.to_owned(), problem: problem.into(), remedy }
}
