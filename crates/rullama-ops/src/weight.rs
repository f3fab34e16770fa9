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
    /// Row r of the chunk stands at row `start + r * step` of its buffer: other than 0 and 1 in a [view](Weight::view).
    pub start: u32,
    pub step: u32,
}

impl Weight {
    /// Rows `first`, `first + step`, ... in the same buffers: `rows` of them, or as many as there are.
    pub fn view(&self, first: u32, step: u32, rows: u32) -> Weight {
        let (first, step) = (u64::from(first), u64::from(step.max(1)));
        let mut chunks = Vec::new();
        let mut done = 0;
        for chunk in &self.chunks {
            // Chunks are in order: the view's next row is in this one or behind it.
            let next = first + u64::from(done) * step;
            let end = u64::from(chunk.first_row) + u64::from(chunk.rows);
            let count = end.saturating_sub(next).div_ceil(step).min(u64::from(rows - done)) as u32;
            if count == 0 {
                continue;
            }
            let inside = (next - u64::from(chunk.first_row)) as u32;
            let step = chunk.step.saturating_mul(step as u32);
            chunks.push(Chunk { first_row: done, rows: count, start: chunk.start + inside * chunk.step, step, ..chunk.clone() });
            done += count;
        }
        Weight { name: self.name.clone(), dtype: self.dtype, rows: done, cols: self.cols, chunks }
    }
}
