//! Bytes on their way back to the host.

use crate::buffer::{Buffer, Usage};
use crate::{Device, GpuError, SubmissionId};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// A mappable buffer, reusable: [`start`](Self::start) queues a copy into it,
/// [`wait`](Self::wait) gives the bytes. Several may be in flight at once.
#[derive(Debug)]
pub struct Readback {
    buffer: Buffer,
    pending: Mutex<Option<Pending>>,
}

#[derive(Debug)]
struct Pending {
    done: Done,
    submission: SubmissionId,
    len: u64,
}

/// What becomes of a wait; ready once told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Done(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    result: Option<Result<(), GpuError>>,
    waker: Option<Waker>,
}

impl Done {
    /// The first word counts.
    pub fn tell(&self, result: Result<(), GpuError>) {
        let mut state = locked(&self.0);
        state.result.get_or_insert(result);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub fn fail(&self, error: GpuError) {
        self.tell(Err(error));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Readback {
    /// A place on the host for the copies of at most `size` bytes.
    ///
    /// # Errors
    /// As [`Device::buffer`].
    pub async fn new(device: &Device, size: u64) -> Result<Self, GpuError> {
        Ok(Readback { buffer: device.buffer("readback", size, Usage::Readback).await?, pending: Mutex::new(None) })
    }

    /// Bytes that it can hold.
    pub fn size(&self) -> u64 {
        self.buffer.size()
    }

    /// Copies `(buffer, offset, len)` here after all work submitted so far; `None` only
    /// marks the point. Must not be called again before [`wait`](Self::wait).
    pub fn start(&self, device: &Device, from: Option<(&Buffer, u64, u64)>) {
        device.0.readbacks.fetch_add(1, Ordering::Relaxed);
        let mut encoder = device.0.raw.create_command_encoder(&Default::default());
        match from {
            Some((buffer, offset, len)) => encoder.copy_buffer_to_buffer(buffer.raw(), offset, self.buffer.raw(), 0, len),
            // A browser maps a buffer that no work uses at once, whatever else the GPU has to do.
            None => encoder.clear_buffer(self.buffer.raw(), 0, Some(4)),
        }
        let submission = device.0.queue.submit([encoder.finish()]);
        let done = Done::default();
        let signal = done.clone();
        self.buffer.raw().map_async(wgpu::MapMode::Read, .., move |result| {
            signal.tell(result.map_err(|e| GpuError::Validation { what: "a read-back".into(), message: e.to_string() }));
        });
        *locked(&self.pending) = Some(Pending { done, submission, len: from.map_or(0, |f| f.2) });
    }

    /// Waits for the copy of the last [`start`](Self::start).
    ///
    /// # Errors
    /// [`GpuError::DeviceLost`] after a loss, [`GpuError::Timeout`] when the GPU does not answer; else what [`Device::check`] gives.
    pub async fn wait(&self, device: &Device) -> Result<Vec<u8>, GpuError> {
        let Some(pending) = locked(&self.pending).take() else { return Ok(Vec::new()) };
        #[cfg(not(target_arch = "wasm32"))]
        device.0.driver.wait(&device.0.raw, &device.0.lost, pending.submission, pending.done.clone());
        #[cfg(target_arch = "wasm32")]
        let _ = pending.submission;
        match pending.done.await {
            // Nothing but a loss keeps a buffer that somebody waits for from being mapped.
            Err(GpuError::Validation { message, .. }) => {
                device.check()?;
                return Err(device.mark_lost(message));
            }
            told => told?,
        }
        let view = self.buffer.raw().get_mapped_range(..pending.len.max(4));
        let bytes = view.map(|v| v[..pending.len as usize].to_vec());
        self.buffer.raw().unmap();
        device.check()?;
        bytes.map_err(|e| GpuError::Validation { what: "a mapped range".into(), message: e.to_string() })
    }
}

impl Future for Done {
    type Output = Result<(), GpuError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = locked(&self.0);
        match state.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kernel, OpenOptions, Recorder};

    fn device() -> Device {
        pollster::block_on(Device::open(&OpenOptions::default())).expect("a GPU adapter (install mesa-vulkan-drivers for a software one)")
    }

    fn lost<T: std::fmt::Debug>(result: Result<T, GpuError>) -> String {
        match result {
            Err(GpuError::DeviceLost { reason }) => reason,
            other => panic!("not a lost device: {other:?}"),
        }
    }

    fn fill(device: &Device, buffer: &Buffer, text: &str) -> Result<crate::Recording, GpuError> {
        let source = format!(
            "@group(0) @binding(1) var<storage, read_write> y: array<u32>;
             @compute @workgroup_size(1) fn main() {{ y[0] = {text}; }}"
        );
        let mut recorder = Recorder::new();
        recorder.dispatch(&Kernel::reflect("fill", &source).unwrap(), [1, 1, 1]).bind("y", buffer);
        pollster::block_on(recorder.finish(device))
    }

    /// Every call after a loss, on things made before and after it.
    fn assert_all_lost(device: &Device, buffer: &Buffer, recording: &crate::Recording) {
        device.write(buffer, 0, &[1; 16]);
        device.submit(recording);
        lost(pollster::block_on(device.read(buffer, 0, 16)));
        lost(pollster::block_on(device.finish()));
        lost(pollster::block_on(device.buffer("late", 16, Usage::Storage)));
        lost(fill(device, buffer, "8u"));
        lost(fill(device, buffer, "7u"));
        lost(pollster::block_on(device.profile(recording)));
        lost(device.check());
    }

    #[test]
    fn a_destroyed_device_fails_every_call() {
        let device = device();
        let buffer = pollster::block_on(device.buffer("b", 16, Usage::Storage)).unwrap();
        let recording = fill(&device, &buffer, "7u").unwrap();
        device.submit(&recording);
        device.destroy();
        assert_all_lost(&device, &buffer, &recording);
    }

    #[test]
    fn a_loss_is_found_with_work_in_flight() {
        let device = device();
        let buffer = pollster::block_on(device.buffer("b", 16, Usage::Storage)).unwrap();
        let recording = fill(&device, &buffer, "7u").unwrap();
        let readback = pollster::block_on(Readback::new(&device, 16)).unwrap();
        device.submit(&recording);
        readback.start(&device, Some((&buffer, 0, 16)));
        // wgpu's own handle: nobody tells the device, it must find out.
        device.0.raw.destroy();
        lost(pollster::block_on(readback.wait(&device)));
        assert_all_lost(&device, &buffer, &recording);
    }

    #[test]
    fn a_loss_is_found_by_the_next_read() {
        let device = device();
        let buffer = pollster::block_on(device.buffer("b", 16, Usage::Storage)).unwrap();
        let recording = fill(&device, &buffer, "7u").unwrap();
        pollster::block_on(device.finish()).unwrap();
        device.0.raw.destroy();
        lost(pollster::block_on(device.read(&buffer, 0, 16)));
        assert_all_lost(&device, &buffer, &recording);
    }

    #[test]
    fn a_refused_command_ends_the_device_unless_it_was_tried() {
        let device = device();
        let buffer = pollster::block_on(device.buffer("b", 16, Usage::Storage)).unwrap();
        // A copy within one buffer is refused when it is submitted.
        let overlapping = || {
            let mut recorder = Recorder::new();
            recorder.copy(buffer.slice(0, 8), buffer.slice(4, 8));
            pollster::block_on(recorder.finish(&device)).unwrap()
        };
        assert!(matches!(pollster::block_on(device.try_submit(&overlapping())), Err(GpuError::Validation { .. })));
        device.check().expect("it was only tried");
        device.submit(&overlapping());
        let reason = lost(device.check());
        assert!(reason.starts_with("it refused a command"), "{reason}");
        assert_eq!(lost(pollster::block_on(device.read(&buffer, 0, 16))), reason, "told at every later call");
    }

    /// Two waits on one thread make way for each other, and a wait that is dropped disturbs nobody.
    #[test]
    fn a_wait_gives_its_thread_back() {
        let device = device();
        let buffer = pollster::block_on(device.buffer("b", 16, Usage::Storage)).unwrap();
        let recording = fill(&device, &buffer, "7u").unwrap();
        device.submit(&recording);
        let readback = pollster::block_on(Readback::new(&device, 16)).unwrap();
        readback.start(&device, Some((&buffer, 0, 16)));
        let mut wait = Box::pin(readback.wait(&device));
        let mut context = Context::from_waker(Waker::noop());
        // Pending at first, or done already; never held until the GPU is.
        let asked = std::time::Instant::now();
        let first = wait.as_mut().poll(&mut context);
        assert!(asked.elapsed().as_secs() < 2);
        drop((first.is_pending(), wait));
        drop(readback);
        assert_eq!(pollster::block_on(device.read(&buffer, 0, 4)).unwrap(), 7u32.to_le_bytes());
    }
}
