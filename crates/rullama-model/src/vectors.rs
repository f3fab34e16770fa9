//! Vectors of a file, as numbers.

use crate::ModelError;
use rullama_source::ByteSource;
use rullama_source::gguf::TensorInfo;
use std::ops::Range;

/// A vector's values.
pub async fn read_table(source: &dyn ByteSource, tensor: &TensorInfo) -> Result<Vec<f32>, ModelError> {
    let bytes = source.read(tensor.range.start, tensor.bytes() as usize).await?;
    decode_table(tensor, &bytes)
}

/// The values of many vectors, in the order given. They are asked for together, so that a network is waited for once.
pub async fn read_tables(source: &dyn ByteSource, tensors: &[&TensorInfo]) -> Result<Vec<Vec<f32>>, ModelError> {
    let ranges: Vec<Range<u64>> = tensors.iter().map(|tensor| tensor.range.start..tensor.range.start + tensor.bytes()).collect();
    let read = source.read_many(&ranges).await?;
    tensors.iter().zip(read).map(|(tensor, bytes)| decode_table(tensor, &bytes)).collect()
}

fn decode_table(tensor: &TensorInfo, bytes: &[u8]) -> Result<Vec<f32>, ModelError> {
    let mut values = vec![0.0; tensor.elements() as usize];
    rullama_quant::decode(tensor.dtype()?, bytes, &mut values)?;
    Ok(values)
}
