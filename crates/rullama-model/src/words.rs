//! Buffers of words that host and kernels share.

use rullama_gpu::{Buffer, Device, GpuError, Slice, Usage};
use rullama_ops::Words;
use std::collections::HashMap;

/// A buffer for each kind of words that a session or a trainer has.
#[derive(Debug)]
pub struct WordBuffers(HashMap<Words, Buffer>);

impl WordBuffers {
    /// Buffers of so many words each.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`]; [`GpuError::DeviceLost`].
    pub async fn new(device: &Device, sizes: &[(Words, usize)]) -> Result<Self, GpuError> {
        let mut buffers = HashMap::new();
        for (words, count) in sizes {
            buffers.insert(*words, device.buffer(&format!("{words:?}"), *count as u64 * 4, Usage::Storage).await?);
        }
        Ok(WordBuffers(buffers))
    }

    /// The buffer of words that were asked for.
    ///
    /// # Panics
    /// Others are a broken call of our own.
    pub fn buffer(&self, words: Words) -> &Buffer {
        &self.0[&words]
    }

    pub fn slice(&self, words: Words) -> Option<Slice> {
        self.0.get(&words).map(Buffer::whole)
    }

    /// Writes to the beginning of the words.
    pub fn write(&self, device: &Device, words: Words, bytes: &[u8]) {
        device.write(self.buffer(words), 0, bytes);
    }
}
