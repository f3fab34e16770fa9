//! A weight matrix on the GPU.

use rullama_gpu::Slice;
use rullama_quant::DType;

/// `[rows, cols]` of any format, in one or more chunks of whole rows, since a chunk must
/// fit one binding.
#[derive(Debug)]
pub struct Weight {
    /// Its key among the model's weights: the tensor's name without `.weight`, or a name for the tensors stacked in it.
    pub name: String,
    pub dtype: DType,
    pub rows: u32,
    /// A multiple of 32.
    pub cols: u32,
    pub chunks: Vec<Chunk>,
}

/// Rows `first_row .. first_row + rows` of a weight.
#[derive(Debug, Clone)]
pub struct Chunk {
    pub slice: Slice,
    pub first_row: u32,
    pub rows: u32,
    /// Start of each plane of the device layout, in words.
    pub planes: [u32; 4],
}
