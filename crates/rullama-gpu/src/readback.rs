//! Bytes on their way back to the host.

use crate::buffer::{Buffer, Usage};
use crate::{Device, GpuError, SubmissionId};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Longest wait for the GPU before the driver is taken for hung, in seconds.
const TIMEOUT_S: u64 = 120;

/// A mappable buffer, reusable: [`start`](Self::start) queues a copy into it,
/// [`wait`](Self::wait) gives the bytes. Several may be in flight at once.
#[derive(Debug)]
pub struct Readback {
    buffer: Buffer,
    pending: Mutex<Option<Pending>>,
}

#[derive(Debug)]
struct Pending {
    done: Arc<Mutex<State>>,
    submission: SubmissionId,
    len: u64,
}

#[derive(Debug, Default)]
struct State {
    result: Option<Result<(), String>>,
    waker: Option<Waker>,
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

    /// Copies `(buffer, offset, len)` here after all work submitted so far; `None` only
    /// marks the point. Must not be called again before [`wait`](Self::wait).
    pub fn start(&self, device: &Device, from: Option<(&Buffer, u64, u64)>) {
        let mut encoder = device.0.raw.create_command_encoder(&Default::default());
        if let Some((buffer, offset, len)) = from {
            encoder.copy_buffer_to_buffer(buffer.raw(), offset, self.buffer.raw(), 0, len);
        }
        let submission = device.0.queue.submit([encoder.finish()]);
        let done = Arc::new(Mutex::new(State::default()));
        let signal = done.clone();
        self.buffer.raw().map_async(wgpu::MapMode::Read, .., move |result| {
            let mut state = locked(&signal);
            state.result = Some(result.map_err(|e| e.to_string()));
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        });
        *locked(&self.pending) = Some(Pending { done, submission, len: from.map_or(0, |f| f.2) });
    }

    /// Waits for the copy of the last [`start`](Self::start).
    ///
    /// # Errors
    /// [`GpuError::DeviceLost`] after a loss, [`GpuError::Timeout`] when the GPU does not answer; else what [`Device::check`] gives.
    pub async fn wait(&self, device: &Device) -> Result<Vec<u8>, GpuError> {
        let Some(pending) = locked(&self.pending).take() else { return Ok(Vec::new()) };
        drive(device, pending.submission)?;
        let mapped = Done(pending.done).await;
        if let Err(message) = mapped {
            device.check()?;
            return Err(device.mark_lost(message));
        }
        let view = self.buffer.raw().get_mapped_range(..pending.len.max(4));
        let bytes = view.map(|v| v[..pending.len as usize].to_vec());
        self.buffer.raw().unmap();
        device.check()?;
        bytes.map_err(|e| GpuError::Validation { what: "a mapped range".into(), message: e.to_string() })
    }
}

/// Natively the host must poll; a browser calls back by itself.
fn drive(device: &Device, submission: SubmissionId) -> Result<(), GpuError> {
    if device.caps().browser {
        return Ok(());
    }
    let timeout = Some(Duration::from_secs(TIMEOUT_S));
    match caught(device, || device.0.raw.poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout }))? {
        Ok(_) => Ok(()),
        Err(wgpu::PollError::Timeout) => {
            device.mark_lost(format!("it did not answer within {TIMEOUT_S} s"));
            Err(GpuError::Timeout { seconds: TIMEOUT_S })
        }
        // The work was refused when it was submitted.
        Err(_) => Err(device.mark_lost("it takes no more work")),
    }
}

/// Where a wait finds that the driver has lost the device, wgpu tells its callback and then panics.
fn caught<T>(device: &Device, wait: impl FnOnce() -> T) -> Result<T, GpuError> {
    catch_unwind(AssertUnwindSafe(wait)).or_else(|panic| {
        device.check()?;
        resume_unwind(panic)
    })
}

struct Done(Arc<Mutex<State>>);

impl Future for Done {
    type Output = Result<(), String>;

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
    fn a_wait_that_panics_on_a_lost_device_is_an_error() {
        let device = device();
        let other = catch_unwind(AssertUnwindSafe(|| caught(&device, || panic!("not for a loss"))));
        assert!(other.is_err(), "a panic of another cause goes on");
        let during = || -> () {
            device.mark_lost("the driver said so");
            panic!("Error in Device::poll: Parent device is lost");
        };
        assert_eq!(lost(caught(&device, during)), "the driver said so");
    }
}
