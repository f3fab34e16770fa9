//! Who waits for the GPU. Natively a thread of the device's own polls it, so that a future that waits gives its thread back; a
//! browser calls back by itself.

use crate::device::Lost;
use crate::readback::Done;
use crate::{GpuError, SubmissionId};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longest wait for the GPU before the driver is taken for hung, in seconds.
const TIMEOUT_S: u64 = 120;

/// Work whose end somebody waits for.
struct Wait {
    submission: SubmissionId,
    done: Done,
}

/// A device's thread, started when it is first needed; it ends with the device, and before it: a program that leaves must find no
/// thread in the driver's code.
#[derive(Default)]
pub(crate) struct Driver(OnceLock<Running>);

struct Running {
    waits: Mutex<Sender<Wait>>,
    thread: JoinHandle<()>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let Some(Running { waits, thread }) = self.0.take() else { return };
        drop(waits);
        if thread.thread().id() != std::thread::current().id() {
            // It has told of whatever went wrong.
            let _ = thread.join();
        }
    }
}

impl Driver {
    /// Sees to it that `done` is told when `submission` has run, or that it cannot.
    pub fn wait(&self, device: &wgpu::Device, lost: &Lost, submission: SubmissionId, done: Done) {
        let running = self.0.get_or_init(|| {
            let (sender, waits) = channel();
            let (device, lost) = (device.clone(), lost.clone());
            let thread = std::thread::spawn(move || drive(&device, &lost, waits));
            Running { waits: Mutex::new(sender), thread }
        });
        let sent = running.waits.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).send(Wait { submission, done });
        if let Err(refused) = sent {
            refused.0.done.fail(lost.mark("nothing drives it any more"));
        }
    }
}

fn drive(device: &wgpu::Device, lost: &Lost, waits: Receiver<Wait>) {
    for Wait { submission, done } in waits {
        let timeout = Some(Duration::from_secs(TIMEOUT_S));
        let wait = || device.poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout });
        match caught(wait) {
            Ok(Ok(_)) => {}
            Ok(Err(wgpu::PollError::Timeout)) => {
                lost.mark(format!("it did not answer within {TIMEOUT_S} s"));
                done.fail(GpuError::Timeout { seconds: TIMEOUT_S });
            }
            // The work was refused when it was submitted.
            Ok(Err(_)) => done.fail(lost.mark("it takes no more work")),
            Err(message) => done.fail(lost.mark(message)),
        }
    }
}

/// Where a wait finds that the driver has lost the device, wgpu tells its callback and then panics: the message of a panic.
fn caught<T>(wait: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(wait)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_else(|| "waiting for it failed".into())
    })
}

#[cfg(test)]
mod tests {
    use super::caught;

    #[test]
    fn a_panic_of_a_wait_is_its_message() {
        assert_eq!(caught(|| 7), Ok(7));
        let during = || -> () { panic!("Error in Device::poll: Parent device is lost") };
        assert_eq!(caught(during), Err("Error in Device::poll: Parent device is lost".into()));
    }
}
