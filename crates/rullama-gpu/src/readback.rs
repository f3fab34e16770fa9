//! Bytes on their way back to the host.

use crate::buffer::{Buffer, Usage};
use crate::{Device, GpuError, SubmissionId};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

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
    pub async fn wait(&self, device: &Device) -> Result<Vec<u8>, GpuError> {
        let Some(pending) = locked(&self.pending).take() else { return Ok(Vec::new()) };
        drive(device, pending.submission)?;
        let mapped = Done(pending.done).await;
        if let Err(message) = mapped {
            device.check()?;
            return Err(GpuError::DeviceLost { reason: message });
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
    let timeout = Some(std::time::Duration::from_secs(TIMEOUT_S));
    match device.0.raw.poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout }) {
        Ok(_) => Ok(()),
        Err(wgpu::PollError::Timeout) => Err(GpuError::Timeout { seconds: TIMEOUT_S }),
        Err(error) => Err(GpuError::DeviceLost { reason: error.to_string() }),
    }
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
