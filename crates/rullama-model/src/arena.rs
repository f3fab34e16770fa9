//! Many small f32 matrices in few buffers: adapters on the GPU, and what training keeps of them.

use crate::ModelError;
use rullama_gpu::{Buffer, Device, Usage};
use rullama_ops::Tensor;
use std::collections::BTreeMap;

/// Where matrices lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// Values of each buffer.
    buffers: Vec<u64>,
    places: BTreeMap<String, Place>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    buffer: usize,
    /// In values.
    offset: u64,
    rows: u32,
    cols: u32,
}

impl Layout {
    /// Places `[rows, cols]` matrices one after the other, each where a binding may begin, in buffers of at most `most` bytes or one
    /// matrix.
    pub fn new(matrices: impl IntoIterator<Item = (String, u32, u32)>, alignment: u64, most: u64) -> Layout {
        let align = (alignment / 4).max(4);
        let mut layout = Layout::default();
        for (name, rows, cols) in matrices {
            let len = (u64::from(rows) * u64::from(cols)).next_multiple_of(align);
            let fits = layout.buffers.last().is_some_and(|used| (used + len) * 4 <= most);
            if !fits {
                layout.buffers.push(0);
            }
            let buffer = layout.buffers.len() - 1;
            let offset = layout.buffers[buffer];
            layout.buffers[buffer] += len;
            layout.places.insert(name, Place { buffer, offset, rows, cols });
        }
        layout
    }

    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        self.buffers.iter().map(|values| values * 4).sum()
    }

    /// Values of each buffer.
    pub fn flats(&self) -> &[u64] {
        &self.buffers
    }

    /// Names of the matrices and their shapes.
    pub fn matrices(&self) -> impl Iterator<Item = (&str, u32, u32)> {
        self.places.iter().map(|(name, place)| (name.as_str(), place.rows, place.cols))
    }
}

/// Matrices on the GPU. What lies between them is zero and stays so.
#[derive(Debug)]
pub struct Arena {
    layout: Layout,
    buffers: Vec<Buffer>,
}

impl Arena {
    /// All zeros.
    ///
    /// # Errors
    /// Too little GPU memory; a lost device.
    pub async fn new(device: &Device, label: &str, layout: Layout) -> Result<Self, ModelError> {
        let mut buffers = Vec::with_capacity(layout.buffers.len());
        for values in &layout.buffers {
            buffers.push(device.buffer(label, values * 4, Usage::Storage).await?);
        }
        Ok(Arena { layout, buffers })
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// A matrix by its name.
    pub fn tensor(&self, name: &str) -> Option<Tensor> {
        let &Place { buffer, offset, rows, cols } = self.layout.places.get(name)?;
        let len = u64::from(rows) * u64::from(cols);
        let slice = self.buffers[buffer].slice(offset * 4, len * 4);
        Some(Tensor { slice, rows, cols, stride: cols, offset: 0 })
    }

    /// A whole buffer as one row, for what is done to every value alike.
    pub fn flat(&self, index: usize) -> Option<Tensor> {
        let cols = u32::try_from(*self.layout.buffers.get(index)?).ok()?;
        Some(Tensor { slice: self.buffers[index].whole(), rows: 1, cols, stride: cols, offset: 0 })
    }

    /// Writes a matrix; `values` holds its rows.
    pub fn write(&self, device: &Device, name: &str, values: &[f32]) {
        if let Some(place) = self.layout.places.get(name) {
            device.write(&self.buffers[place.buffer], place.offset * 4, bytemuck::cast_slice(values));
        }
    }

    /// Sets everything to zero, before what is submitted later.
    pub fn clear(&self, device: &Device) {
        self.buffers.iter().for_each(|buffer| device.clear(buffer));
    }

    /// Every matrix's values, by name.
    ///
    /// # Errors
    /// A lost device.
    pub async fn read(&self, device: &Device) -> Result<BTreeMap<String, Vec<f32>>, ModelError> {
        let mut wholes: Vec<Vec<f32>> = Vec::with_capacity(self.buffers.len());
        for buffer in &self.buffers {
            wholes.push(bytemuck::pod_collect_to_vec(&device.read(buffer, 0, buffer.size()).await?));
        }
        let of = |place: &Place| wholes[place.buffer][place.offset as usize..][..(place.rows * place.cols) as usize].to_vec();
        Ok(self.layout.places.iter().map(|(name, place)| (name.clone(), of(place))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_never_overlap_and_begin_where_a_binding_may() {
        let shapes = (0..40u32).map(|i| (format!("m{i}"), 1 + i * 37 % 19, 1 + i * 11 % 23));
        let layout = Layout::new(shapes, 256, 4096);
        let mut taken: Vec<Vec<bool>> = layout.buffers.iter().map(|n| vec![false; *n as usize]).collect();
        for place in layout.places.values() {
            assert_eq!(place.offset % 64, 0);
            for i in 0..u64::from(place.rows * place.cols) {
                let slot = &mut taken[place.buffer][(place.offset + i) as usize];
                assert!(!std::mem::replace(slot, true));
            }
        }
        assert!(layout.buffers.len() > 1 && layout.buffers.iter().all(|n| n * 4 <= 4096));
    }
}
