use crate::buffer::{Buffer, Usage};
use crate::caps::{AdapterProfile, Caps, OpenOptions};
use crate::kernel::{Access, Kernel};
use crate::recording::Recording;
use crate::shortage::Shortage;
use crate::{GpuError, Readback, Slice};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// What the loss of a device is put down to when nobody gives a reason.
const DESTROYED: &str = "it was destroyed";

/// Identifies submitted work, so that it can be waited for.
pub type SubmissionId = wgpu::SubmissionIndex;

/// An open adapter with its pipelines. Clones share it.
#[derive(Clone)]
pub struct Device(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub raw: wgpu::Device,
    pub queue: wgpu::Queue,
    pub caps: Caps,
    info: wgpu::AdapterInfo,
    pub allocated: Arc<AtomicU64>,
    pub readbacks: AtomicU64,
    pub lost: Lost,
    pub shortage: Shortage,
    #[cfg(not(target_arch = "wasm32"))]
    pub driver: crate::driver::Driver,
    pipelines: Mutex<HashMap<Kernel, Pipeline>>,
    layouts: Mutex<HashMap<Vec<BindKind>, Layout>>,
}

/// Why a device takes no more work, once it does not: the first reason stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lost(Arc<Mutex<Option<String>>>);

impl Lost {
    /// Keeps the first reason, and gives the error.
    pub fn mark(&self, reason: impl Into<String>) -> GpuError {
        let reason = locked(&self.0).get_or_insert_with(|| reason.into()).clone();
        GpuError::DeviceLost { reason }
    }

    pub fn check(&self) -> Result<(), GpuError> {
        match locked(&self.0).clone() {
            Some(reason) => Err(GpuError::DeviceLost { reason }),
            None => Ok(()),
        }
    }
}

/// What stands at a binding slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum BindKind {
    Uniform,
    Storage(Access),
}

#[derive(Clone)]
pub(crate) struct Layout {
    pub group: wgpu::BindGroupLayout,
    pub pipeline: wgpu::PipelineLayout,
}

#[derive(Clone)]
pub(crate) struct Pipeline {
    pub raw: wgpu::ComputePipeline,
    pub layout: Layout,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Device {
    /// Opens the most capable adapter (the order of preference is the system's).
    ///
    /// # Errors
    /// [`GpuError::NoAdapter`] where there is none, or where it gives no device.
    #[allow(clippy::arc_with_non_send_sync, reason = "wgpu's handles are not Send in a browser, where everything is one thread")]
    pub async fn open(options: &OpenOptions) -> Result<Device, GpuError> {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.flags = wgpu::InstanceFlags::empty();
        // GL is left out: its compute is too limited, and probing it is noisy.
        descriptor.backends = wgpu::Backends::PRIMARY;
        let instance = wgpu::Instance::new(descriptor);
        let adapter = instance
            .request_adapter(&wgpu::RequestAdapterOptions {
                power_preference: wgpu::PowerPreference::HighPerformance,
                ..Default::default()
            })
            .await
            .map_err(|e| GpuError::NoAdapter { reason: e.to_string() })?;
        let info = adapter.get_info();
        let (features, limits) = match options.profile {
            AdapterProfile::WebGpuDefaults => (wgpu::Features::empty(), wgpu::Limits::defaults()),
            AdapterProfile::Native => (adapter.features() & (wgpu::Features::SUBGROUP | wgpu::Features::TIMESTAMP_QUERY), adapter.limits()),
        };
        let caps = Caps::new(&info, &limits, features, options);
        let (raw, queue) = adapter
            .request_device(&wgpu::DeviceDescriptor {
                label: Some("rullama"),
                required_features: features,
                required_limits: limits,
                ..Default::default()
            })
            .await
            .map_err(|e| GpuError::NoAdapter { reason: format!("{} ({}): {e}", info.name, info.backend) })?;
        let lost = Lost::default();
        let (on_lost, on_error) = (lost.clone(), lost.clone());
        // Dropping the last handle is no loss, and destroying is one: whoever did it took the device from all others.
        raw.set_device_lost_callback(move |_, message| {
            on_lost.mark(if message.is_empty() { DESTROYED.into() } else { message });
        });
        // wgpu's default handler panics. A command refused outside a scope did not write what later ones read: nothing that
        // follows can be trusted, as after a loss.
        raw.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            on_error.mark(format!("it refused a command: {error}"));
        }));
        let inner = Inner {
            raw,
            queue,
            caps,
            info,
            allocated: Default::default(),
            readbacks: Default::default(),
            lost,
            shortage: Default::default(),
            #[cfg(not(target_arch = "wasm32"))]
            driver: Default::default(),
            pipelines: Default::default(),
            layouts: Default::default(),
        };
        Ok(Device(Arc::new(inner)))
    }

    pub fn caps(&self) -> &Caps {
        &self.0.caps
    }

    /// The adapter's name as the driver gives it.
    pub fn name(&self) -> &str {
        &self.0.info.name
    }

    /// Driver and version, as reported.
    pub fn driver(&self) -> String {
        format!("{} {}", self.0.info.driver, self.0.info.driver_info).trim().to_string()
    }

    /// `wgpu-vulkan`, `wgpu-metal`, `wgpu-dx12` or, through a browser's WebGPU, `webgpu`.
    pub fn backend(&self) -> &'static str {
        match self.0.info.backend {
            wgpu::Backend::Vulkan => "wgpu-vulkan",
            wgpu::Backend::Metal => "wgpu-metal",
            wgpu::Backend::Dx12 => "wgpu-dx12",
            _ => "webgpu",
        }
    }

    /// Own memory beside the host's: a hint for how much a model may take.
    pub fn discrete(&self) -> bool {
        self.0.info.device_type == wgpu::DeviceType::DiscreteGpu
    }

    /// Bytes in buffers that live now.
    pub fn allocated(&self) -> u64 {
        self.0.allocated.load(Ordering::Relaxed)
    }

    /// Why nothing more can be computed here: the device was lost, or it refused a command.
    pub fn check(&self) -> Result<(), GpuError> {
        self.0.lost.check()
    }

    /// Ends the device for every clone, as a failing driver does: each later call gives [`GpuError::DeviceLost`].
    pub fn destroy(&self) {
        self.mark_lost(DESTROYED);
        self.0.raw.destroy();
    }

    /// Keeps the first reason of a loss that wgpu's callback does not tell, and gives the error.
    pub(crate) fn mark_lost(&self, reason: impl Into<String>) -> GpuError {
        self.0.lost.mark(reason)
    }

    /// A zeroed buffer of at least `size` bytes (rounded up to 16). Without room, what can be spared ([`on_shortage`](Self::on_shortage)) goes first.
    ///
    /// # Errors
    /// [`GpuError::LimitTooSmall`] beyond the adapter's largest buffer, [`GpuError::OutOfMemory`] without room, [`GpuError::DeviceLost`] after a loss.
    pub async fn buffer(&self, label: &str, size: u64, usage: Usage) -> Result<Buffer, GpuError> {
        self.check()?;
        let size = size.next_multiple_of(16).max(16);
        if size > self.0.caps.max_buffer {
            return Err(GpuError::LimitTooSmall { limit: "maxBufferSize", have: self.0.caps.max_buffer, need: size, what: label.into() });
        }
        match self.allocate(label, size, usage).await {
            Err(GpuError::OutOfMemory { .. }) if self.0.shortage.release() => {
                // Memory is free once nothing that is under way uses it. Waiting takes a buffer, too.
                Box::pin(self.finish()).await?;
                self.allocate(label, size, usage).await
            }
            made => made,
        }
    }

    async fn allocate(&self, label: &str, size: u64, usage: Usage) -> Result<Buffer, GpuError> {
        self.0.shortage.check(label, size, self.allocated())?;
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage: usage.flags(), mapped_at_creation: false };
        let raw = self.scoped(label, size, |raw| raw.create_buffer(&descriptor)).await?;
        Ok(Buffer::new(raw, size, label.to_string(), self.0.allocated.clone()))
    }

    /// Makes something of `bytes` bytes inside error scopes.
    pub(crate) async fn scoped<T>(&self, label: &str, bytes: u64, make: impl FnOnce(&wgpu::Device) -> T) -> Result<T, GpuError> {
        let memory = self.0.raw.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.0.raw.push_error_scope(wgpu::ErrorFilter::Validation);
        let made = make(&self.0.raw);
        let (validation, memory) = (validation.pop(), memory.pop());
        let (validation, memory) = (validation.await, memory.await);
        // A lost device makes things that fail later.
        self.check()?;
        if let Some(error) = validation {
            return Err(GpuError::Validation { what: format!("`{label}` of {bytes} bytes"), message: error.to_string() });
        }
        if memory.is_some() {
            return Err(GpuError::OutOfMemory { what: label.into(), bytes, allocated: self.allocated() });
        }
        Ok(made)
    }

    /// Queues `bytes` (a multiple of 4) to be written at `offset` (likewise) before later work.
    pub fn write(&self, buffer: &Buffer, offset: u64, bytes: &[u8]) {
        self.0.queue.write_buffer(buffer.raw(), offset, bytes);
    }

    /// Copies between buffers behind what was submitted before; both slices of a pair have the same size, a multiple of 4.
    pub fn copy(&self, pairs: impl IntoIterator<Item = (Slice, Slice)>) {
        let mut encoder = self.0.raw.create_command_encoder(&Default::default());
        pairs.into_iter().for_each(|(from, to)| crate::recording::copy(&mut encoder, &from, &to));
        self.0.queue.submit([encoder.finish()]);
    }

    /// Sets a buffer to zero before what is submitted later.
    pub fn clear(&self, buffer: &Buffer) {
        let mut encoder = self.0.raw.create_command_encoder(&Default::default());
        encoder.clear_buffer(buffer.raw(), 0, None);
        self.0.queue.submit([encoder.finish()]);
    }

    /// Starts everything written and recorded so far and waits until it is done.
    ///
    /// # Errors
    /// [`GpuError::DeviceLost`] after a loss, [`GpuError::Timeout`] when the GPU does not answer; else what [`check`](Self::check) gives.
    pub async fn finish(&self) -> Result<(), GpuError> {
        let readback = Readback::new(self, 16).await?;
        readback.start(self, None);
        readback.wait(self).await.map(|_| ())
    }

    /// Reads bytes back, after all work submitted so far.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`] without room for the copy, [`GpuError::DeviceLost`] after a loss, [`GpuError::Timeout`] when the GPU does not
    /// answer.
    pub async fn read(&self, buffer: &Buffer, offset: u64, len: u64) -> Result<Vec<u8>, GpuError> {
        let padded = len.next_multiple_of(4);
        let readback = Readback::new(self, padded).await?;
        readback.start(self, Some((buffer, offset, padded)));
        let mut bytes = readback.wait(self).await?;
        bytes.truncate(len as usize);
        Ok(bytes)
    }

    /// Runs a recording once.
    pub fn submit(&self, recording: &Recording) -> SubmissionId {
        self.submit_part(recording, 0..recording.len())
    }

    /// Runs a recording once; a command that is refused is this call's error alone, where [`submit`](Self::submit) makes it a loss.
    pub async fn try_submit(&self, recording: &Recording) -> Result<(), GpuError> {
        self.check()?;
        let scope = self.0.raw.push_error_scope(wgpu::ErrorFilter::Validation);
        self.submit(recording);
        let error = scope.pop().await;
        self.check()?;
        match error {
            Some(error) => Err(GpuError::Validation { what: "a command".into(), message: error.to_string() }),
            None => Ok(()),
        }
    }

    /// Runs a part of a recording's commands, which see what those before it left.
    pub fn submit_part(&self, recording: &Recording, part: Range<usize>) -> SubmissionId {
        self.submit_encoded(self.encode(recording, part))
    }

    /// Makes a part of a recording's commands ready to be submitted, once.
    pub fn encode(&self, recording: &Recording, part: Range<usize>) -> Encoded {
        let mut encoder = self.0.raw.create_command_encoder(&Default::default());
        recording.encode(&mut encoder, part);
        Encoded(encoder.finish())
    }

    /// Runs what was made ready; it sees what was written until now.
    pub fn submit_encoded(&self, encoded: Encoded) -> SubmissionId {
        self.0.queue.submit([encoded.0])
    }

    /// Runs a recording `times` times, one after the other, in one submission.
    pub fn submit_times(&self, recording: &Recording, times: usize) -> SubmissionId {
        let mut encoder = self.0.raw.create_command_encoder(&Default::default());
        (0..times).for_each(|_| recording.encode(&mut encoder, 0..recording.len()));
        self.0.queue.submit([encoder.finish()])
    }

    /// The pipeline of a kernel: compiled on first use, then kept.
    pub(crate) async fn pipeline(&self, kernel: &Kernel) -> Result<Pipeline, GpuError> {
        if let Some(found) = locked(&self.0.pipelines).get(kernel) {
            return Ok(found.clone());
        }
        self.check()?;
        let layout = self.layout(kernel);
        let scope = self.0.raw.push_error_scope(wgpu::ErrorFilter::Validation);
        let module = self.module(kernel);
        let raw = self.0.raw.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(kernel.label()),
            layout: Some(&layout.pipeline),
            module: &module,
            entry_point: Some("main"),
            // Kernels write workgroup memory before they read it.
            compilation_options: wgpu::PipelineCompilationOptions { zero_initialize_workgroup_memory: false, ..Default::default() },
            cache: None,
        });
        let error = scope.pop().await;
        self.check()?;
        if let Some(error) = error {
            return Err(refused(kernel, &error));
        }
        let pipeline = Pipeline { raw, layout };
        locked(&self.0.pipelines).insert(kernel.clone(), pipeline.clone());
        Ok(pipeline)
    }

    /// Whether the text of a kernel is accepted; nothing is compiled for the GPU, which takes longer.
    ///
    /// # Errors
    /// [`GpuError::Validation`] naming the kernel and what is wrong; [`GpuError::DeviceLost`] after a loss.
    pub async fn accept(&self, kernel: &Kernel) -> Result<(), GpuError> {
        self.check()?;
        let scope = self.0.raw.push_error_scope(wgpu::ErrorFilter::Validation);
        self.module(kernel);
        let error = scope.pop().await;
        self.check()?;
        error.map_or(Ok(()), |error| Err(refused(kernel, &error)))
    }

    fn module(&self, kernel: &Kernel) -> wgpu::ShaderModule {
        let source = wgpu::ShaderSource::Wgsl(kernel.source().into());
        let descriptor = wgpu::ShaderModuleDescriptor { label: Some(kernel.label()), source };
        // naga would count every loop's rounds, lest one be endless: short kernels feel that.
        let checks = wgpu::ShaderRuntimeChecks { force_loop_bounding: false, ..wgpu::ShaderRuntimeChecks::checked() };
        // SAFETY: all other checks are there, and the loops of kernels end, as `Kernel` demands.
        #[allow(unsafe_code, reason = "kernels are a part of the program, and what they compute is tested")]
        unsafe {
            self.0.raw.create_shader_module_trusted(descriptor, checks)
        }
    }

    /// Pipelines compiled so far.
    pub fn pipelines(&self) -> usize {
        locked(&self.0.pipelines).len()
    }

    /// Times that the host waited, or is to wait, for the GPU.
    pub fn readbacks(&self) -> u64 {
        self.0.readbacks.load(Ordering::Relaxed)
    }

    fn layout(&self, kernel: &Kernel) -> Layout {
        let mut kinds: Vec<BindKind> = Vec::new();
        kinds.extend(kernel.has_params().then_some(BindKind::Uniform));
        kinds.extend(kernel.bindings().iter().map(|(_, access)| BindKind::Storage(*access)));
        let first = u32::from(!kernel.has_params());
        locked(&self.0.layouts).entry(kinds.clone()).or_insert_with(|| self.make_layout(&kinds, first)).clone()
    }

    fn make_layout(&self, kinds: &[BindKind], first: u32) -> Layout {
        let entry = |(i, kind): (usize, &BindKind)| wgpu::BindGroupLayoutEntry {
            binding: i as u32 + first,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: match kind {
                    BindKind::Uniform => wgpu::BufferBindingType::Uniform,
                    BindKind::Storage(access) => wgpu::BufferBindingType::Storage { read_only: *access == Access::Read },
                },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        };
        let entries: Vec<_> = kinds.iter().enumerate().map(entry).collect();
        let group = self.0.raw.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
        let pipeline = self.0.raw.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&group)],
            immediate_size: 0,
        });
        Layout { group, pipeline }
    }
}

/// Commands that are ready to be submitted.
#[derive(Debug)]
pub struct Encoded(wgpu::CommandBuffer);

fn refused(kernel: &Kernel, error: &wgpu::Error) -> GpuError {
    GpuError::Validation { what: format!("kernel `{}`", kernel.label()), message: error.to_string() }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").field("name", &self.name()).field("backend", &self.backend()).finish_non_exhaustive()
    }
}
