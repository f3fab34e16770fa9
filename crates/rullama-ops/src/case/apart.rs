//! Weights of cases whose rows are laid out one by one.

use crate::host::HostWeight;
use crate::weight::{Chunk, Weight};
use rullama_gpu::{Device, GpuError, Usage};
use rullama_quant::Layout;

/// A weight on the device, each row as a weight of its own.
pub(super) async fn upload(device: &Device, host: &HostWeight) -> Result<Weight, GpuError> {
    let fail = |error: rullama_quant::QuantError| GpuError::Validation { what: "a weight of a case".into(), message: error.to_string() };
    let layout = Layout::new(host.dtype, 1, host.cols).map_err(fail)?;
    let buffer = device.buffer("case weight", (host.rows * layout.words()) as u64 * 4, Usage::Storage).await?;
    for (row, bytes) in host.bytes.chunks(layout.row_bytes()).enumerate() {
        for (offset, words) in layout.repack(0, bytes).map_err(fail)? {
            device.write(&buffer, (row * layout.words() + offset as usize) as u64 * 4, bytemuck::cast_slice(&words));
        }
    }
    let chunk = Chunk { slice: buffer.whole(), first_row: 0, rows: host.rows as u32, planes: layout.planes(), start: 0, step: 1 };
    Ok(Weight { name: "case".into(), dtype: host.dtype, rows: host.rows as u32, cols: host.cols as u32, chunks: vec![chunk] })
}
