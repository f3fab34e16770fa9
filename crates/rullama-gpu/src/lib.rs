//! The only package that names wgpu: adapters and their limits, buffers, kernels, recordings.
//!
//! A [`Recorder`] collects dispatches as data; [`Recorder::finish`] turns them into a
//! [`Recording`] (pipelines, bind groups and parameter bytes made once), which
//! [`Device::submit`] replays as often as wanted without building anything.
//!
//! ```
//! use rullama_gpu::{Device, Kernel, OpenOptions, Recorder, Usage};
//!
//! # pollster::block_on(async {
//! let Ok(device) = Device::open(&OpenOptions::default()).await else { return };
//! let kernel = Kernel::reflect("double", "
//!     struct Params { factor: f32 }
//!     @group(0) @binding(0) var<uniform> params: Params;
//!     @group(0) @binding(1) var<storage, read_write> y: array<f32>;
//!     @compute @workgroup_size(4) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
//!         y[id.x] = params.factor * y[id.x];
//!     }").unwrap();
//! let y = device.buffer("y", 16, Usage::Storage).await.unwrap();
//! device.write(&y, 0, bytemuck::bytes_of(&[1f32, 2.0, 3.0, 4.0]));
//! let mut recorder = Recorder::new();
//! recorder.dispatch(&kernel, [1, 1, 1]).param("factor", 2.0).bind("y", &y);
//! let recording = recorder.finish(&device).await.unwrap();
//! device.submit(&recording);
//! let bytes = device.read(&y, 0, 16).await.unwrap();
//! assert_eq!(bytemuck::pod_collect_to_vec::<u8, f32>(&bytes), [2.0, 4.0, 6.0, 8.0]);
//! # });
//! ```

mod buffer;
mod caps;
mod device;
#[cfg(not(target_arch = "wasm32"))]
mod driver;
mod error;
mod kernel;
mod profile;
mod readback;
mod recording;
mod shortage;
mod staging;

pub use buffer::{Buffer, Slice, Usage};
pub use caps::{AdapterProfile, Caps, OpenOptions};
pub use device::{Device, Encoded, SubmissionId};
pub use error::GpuError;
pub use kernel::{Access, Kernel, Param};
pub use profile::KernelTime;
pub use readback::Readback;
pub use recording::{DispatchBuilder, Recorder, Recording};
pub use shortage::Spare;
pub use staging::Staging;
