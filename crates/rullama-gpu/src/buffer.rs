use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a buffer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// Read and written by kernels, filled and copied by the host.
    Storage,
    /// Small parameters, read by kernels as uniforms.
    Uniform,
    /// Target of copies that the host maps.
    Readback,
}

impl Usage {
    pub(crate) fn flags(self) -> wgpu::BufferUsages {
        use wgpu::BufferUsages as U;
        match self {
            Usage::Storage => U::STORAGE | U::COPY_DST | U::COPY_SRC,
            Usage::Uniform => U::UNIFORM | U::COPY_DST,
            Usage::Readback => U::MAP_READ | U::COPY_DST,
        }
    }
}

#[derive(Debug)]
struct Inner {
    raw: wgpu::Buffer,
    size: u64,
    label: String,
    allocated: Arc<AtomicU64>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.allocated.fetch_sub(self.size, Ordering::Relaxed);
        // At once: a browser's garbage collector knows nothing of GPU memory.
        self.raw.destroy();
    }
}

/// A GPU buffer; clones share it, the last one frees it, once work that uses it is done.
#[derive(Debug, Clone)]
pub struct Buffer(Arc<Inner>);

impl Buffer {
    #[allow(clippy::arc_with_non_send_sync, reason = "wgpu's handles are not Send in a browser, where everything is one thread")]
    pub(crate) fn new(raw: wgpu::Buffer, size: u64, label: String, allocated: Arc<AtomicU64>) -> Self {
        allocated.fetch_add(size, Ordering::Relaxed);
        Buffer(Arc::new(Inner { raw, size, label, allocated }))
    }

    pub(crate) fn raw(&self) -> &wgpu::Buffer {
        &self.0.raw
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.0.size
    }

    pub fn label(&self) -> &str {
        &self.0.label
    }

    /// The whole buffer as a binding.
    pub fn whole(&self) -> Slice {
        Slice { buffer: self.clone(), offset: 0, size: self.size() }
    }

    /// True when both handles name the same allocation.
    pub fn same(&self, other: &Buffer) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A byte range of a buffer.
#[derive(Debug, Clone)]
pub struct Slice {
    pub buffer: Buffer,
    pub offset: u64,
    pub size: u64,
}

impl Slice {
    /// Whether both are the same bytes of the same buffer.
    pub fn same(&self, other: &Slice) -> bool {
        self.buffer.same(&other.buffer) && (self.offset, self.size) == (other.offset, other.size)
    }
}

impl From<&Buffer> for Slice {
    fn from(buffer: &Buffer) -> Self {
        buffer.whole()
    }
}

impl From<&Slice> for Slice {
    fn from(slice: &Slice) -> Self {
        slice.clone()
    }
}
