//! What gives memory back when the GPU has none left.

use crate::{Device, GpuError};
use std::sync::{Mutex, PoisonError, Weak};

/// Holds GPU memory that it can do without for a while.
pub trait Spare: wgpu::WasmNotSendSync {
    /// Frees what is not in use; whether there was any.
    fn release(&self) -> bool;
}

/// Whom a device asks for memory, and how much there is, where somebody says.
#[derive(Default)]
pub(crate) struct Shortage {
    spares: Mutex<Vec<Weak<dyn Spare>>>,
    limit: Mutex<Option<u64>>,
}

impl Shortage {
    /// # Errors
    /// [`GpuError::OutOfMemory`] where `bytes` more are beyond the limit.
    pub fn check(&self, what: &str, bytes: u64, allocated: u64) -> Result<(), GpuError> {
        let limit = *self.limit.lock().unwrap_or_else(PoisonError::into_inner);
        if limit.is_some_and(|limit| allocated.saturating_add(bytes) > limit) {
            return Err(GpuError::OutOfMemory { what: what.into(), bytes, allocated });
        }
        Ok(())
    }

    /// Frees what can be spared; whether there was any.
    pub fn release(&self) -> bool {
        let mut spares = self.spares.lock().unwrap_or_else(PoisonError::into_inner);
        spares.retain(|spare| spare.strong_count() > 0);
        let asked: Vec<_> = spares.iter().filter_map(Weak::upgrade).collect();
        // What they free may end a device, and whatever that ends.
        drop(spares);
        asked.iter().fold(false, |any, spare| spare.release() | any)
    }
}

impl Device {
    /// Asks `spare` for memory when an allocation finds none, which is then tried once more.
    pub fn on_shortage(&self, spare: Weak<dyn Spare>) {
        self.0.shortage.spares.lock().unwrap_or_else(PoisonError::into_inner).push(spare);
    }

    /// Refuses buffers that would make more than `bytes` of all, as a GPU that has no more.
    pub fn limit_memory(&self, bytes: Option<u64>) {
        *self.0.shortage.limit.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Buffer, OpenOptions, Usage};
    use std::sync::Arc;

    struct Kept(Mutex<Option<Buffer>>);

    impl Spare for Kept {
        fn release(&self) -> bool {
            self.0.lock().unwrap().take().is_some()
        }
    }

    #[test]
    fn what_is_spared_makes_room_once() {
        let device = pollster::block_on(Device::open(&OpenOptions::default())).expect("a GPU adapter");
        let buffer = |bytes| pollster::block_on(device.buffer("b", bytes, Usage::Storage));
        device.limit_memory(Some(1 << 20));
        let kept = Arc::new(Kept(Mutex::new(Some(buffer(700 << 10).unwrap()))));
        let gone: Arc<dyn Spare> = Arc::new(Kept(Mutex::new(None)));
        device.on_shortage(Arc::downgrade(&gone));
        drop(gone);
        assert!(matches!(buffer(600 << 10), Err(GpuError::OutOfMemory { bytes: 614_400, allocated: 716_800, .. })));
        let spare: Arc<dyn Spare> = kept.clone();
        device.on_shortage(Arc::downgrade(&spare));
        let room = buffer(600 << 10).unwrap();
        assert!(kept.0.lock().unwrap().is_none() && device.allocated() == room.size());
        assert!(matches!(buffer(600 << 10), Err(GpuError::OutOfMemory { .. })), "nothing is left to spare");
        device.limit_memory(None);
        buffer(600 << 10).unwrap();
    }
}
