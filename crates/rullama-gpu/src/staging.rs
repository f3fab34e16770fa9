//! Bytes on their way to the device while much is written.
//!
//! Natively the queue has memory for that. In a browser and in Node it takes new memory for each write, which costs more than the bytes' way
//! does: there they go through a ring of buffers that are mapped again and again.

use crate::{Buffer, Device};

/// Writes many pieces, one after the other.
#[derive(Debug)]
pub struct Staging {
    device: Device,
    #[cfg(target_arch = "wasm32")]
    ring: mapped::Ring,
}

impl Staging {
    /// For pieces of at most `piece` bytes; larger ones take the way of [`Device::write`].
    #[cfg_attr(not(target_arch = "wasm32"), expect(unused_variables, reason = "the queue's own memory is of any size"))]
    pub fn new(device: &Device, piece: u64) -> Self {
        Staging {
            device: device.clone(),
            #[cfg(target_arch = "wasm32")]
            ring: mapped::Ring::new(piece),
        }
    }

    /// Queues `parts` of a buffer, each with its offset in bytes, to be written before later work; offsets and lengths are multiples of 4. Waits
    /// where too much is on its way.
    pub async fn write(&mut self, buffer: &Buffer, parts: &[(u64, &[u8])]) {
        #[cfg(target_arch = "wasm32")]
        if self.ring.write(&self.device, buffer, parts).await.is_some() {
            return;
        }
        for (offset, bytes) in parts {
            self.device.write(buffer, *offset, bytes);
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod mapped {
    use crate::readback::Done;
    use crate::{Buffer, Device, GpuError};

    /// Buffers, of which one is filled while others are on their way.
    const PLACES: usize = 8;

    /// Buffers of which the next is always the one that was filled longest ago.
    #[derive(Debug)]
    pub struct Ring {
        size: u64,
        places: Vec<Place>,
        next: usize,
        /// No buffer could be had or mapped: what follows is written without.
        broken: bool,
    }

    /// A buffer, and whether the host may write to it.
    #[derive(Debug)]
    struct Place {
        raw: wgpu::Buffer,
        mapped: Done,
    }

    impl Ring {
        pub fn new(size: u64) -> Self {
            Ring { size, places: Vec::new(), next: 0, broken: false }
        }

        /// `None` where nothing was written.
        pub async fn write(&mut self, device: &Device, buffer: &Buffer, parts: &[(u64, &[u8])]) -> Option<()> {
            let bytes: u64 = parts.iter().map(|(_, bytes)| bytes.len() as u64).sum();
            if self.broken || bytes > self.size || bytes == 0 {
                return None;
            }
            let written = self.through_place(device, buffer, parts, bytes).await;
            self.broken = written.is_err();
            written.ok()
        }

        async fn through_place(&mut self, device: &Device, buffer: &Buffer, parts: &[(u64, &[u8])], bytes: u64) -> Result<(), GpuError> {
            if self.places.len() < PLACES && self.next == self.places.len() {
                self.places.push(Place::new(device, self.size).await?);
            }
            let place = &mut self.places[self.next];
            std::mem::take(&mut place.mapped).await?;
            place.fill(parts, bytes)?;
            let mut encoder = device.0.raw.create_command_encoder(&Default::default());
            let mut from = 0;
            for (offset, bytes) in parts {
                encoder.copy_buffer_to_buffer(&place.raw, from, buffer.raw(), *offset, bytes.len() as u64);
                from += bytes.len() as u64;
            }
            device.0.queue.submit([encoder.finish()]);
            place.map();
            self.next = (self.next + 1) % PLACES;
            Ok(())
        }
    }

    impl Place {
        async fn new(device: &Device, size: u64) -> Result<Self, GpuError> {
            let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
            let descriptor = wgpu::BufferDescriptor { label: Some("staging"), size, usage, mapped_at_creation: false };
            let raw = device.scoped("staging", size, |raw| raw.create_buffer(&descriptor)).await?;
            let mut place = Place { raw, mapped: Done::default() };
            place.map();
            Ok(place)
        }

        /// Asks for the buffer, which is given once no work uses it.
        fn map(&mut self) {
            let told = Done::default();
            self.mapped = told.clone();
            self.raw.map_async(wgpu::MapMode::Write, .., move |result| told.tell(result.map_err(unmapped)));
        }

        /// Puts the parts' bytes end to end, and gives the buffer back to the device.
        fn fill(&self, parts: &[(u64, &[u8])], bytes: u64) -> Result<(), GpuError> {
            // wgpu's own view to write through would read the memory first.
            let view = self.raw.get_mapped_range(..bytes).map_err(unmapped)?;
            let mut at = 0;
            for (_, bytes) in parts {
                let end = at + bytes.len() as u32;
                view.as_uint8array().subarray(at, end).copy_from(bytes);
                at = end;
            }
            drop(view);
            self.raw.unmap();
            Ok(())
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            // A browser would keep it until it collects garbage. Copies that were submitted come first.
            self.raw.destroy();
        }
    }

    fn unmapped(error: impl std::fmt::Display) -> GpuError {
        GpuError::Validation { what: "memory to write through".into(), message: error.to_string() }
    }
}
