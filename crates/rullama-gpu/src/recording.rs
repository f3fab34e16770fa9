//! Dispatches as data, then as something to replay.

use crate::buffer::{Slice, Usage};
use crate::device::Pipeline;
use crate::kernel::{Kernel, Param};
use crate::{Buffer, Device, GpuError};
use std::ops::Range;

/// Collects commands in order. Each sees the writes of those before it.
#[derive(Debug, Default)]
pub struct Recorder {
    commands: Vec<Pending>,
}

#[derive(Debug)]
enum Pending {
    Dispatch(DispatchBuilder),
    Copy { from: Slice, to: Slice },
}

/// One dispatch being described: parameters and bindings by the names the kernel declares.
#[derive(Debug)]
pub struct DispatchBuilder {
    kernel: Kernel,
    groups: [u32; 3],
    params: Vec<(&'static str, Param)>,
    bindings: Vec<(&'static str, Slice)>,
}

impl DispatchBuilder {
    pub fn param(&mut self, name: &'static str, value: impl Into<Param>) -> &mut Self {
        self.params.push((name, value.into()));
        self
    }

    pub fn bind(&mut self, name: &'static str, slice: impl Into<Slice>) -> &mut Self {
        self.bindings.push((name, slice.into()));
        self
    }

    /// Slices in the kernel's binding order, each declared name given exactly once.
    fn ordered(&self) -> Result<Vec<&Slice>, GpuError> {
        let fail = |message: String| GpuError::Validation { what: format!("bindings of kernel `{}`", self.kernel.label()), message };
        if self.bindings.len() != self.kernel.bindings().len() {
            let names: Vec<_> = self.kernel.bindings().iter().map(|b| b.0.as_str()).collect();
            return Err(fail(format!("it declares {names:?}, {} are given", self.bindings.len())));
        }
        let find = |name: &String| self.bindings.iter().find(|b| b.0 == name).map(|b| &b.1);
        self.kernel.bindings().iter().map(|(name, _)| find(name).ok_or_else(|| fail(format!("`{name}` is not given")))).collect()
    }
}

impl Recorder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a dispatch of `groups` workgroups.
    pub fn dispatch(&mut self, kernel: &Kernel, groups: [u32; 3]) -> &mut DispatchBuilder {
        self.commands.push(Pending::Dispatch(DispatchBuilder { kernel: kernel.clone(), groups, params: Vec::new(), bindings: Vec::new() }));
        match self.commands.last_mut() {
            Some(Pending::Dispatch(builder)) => builder,
            _ => unreachable!("a dispatch was pushed on the line above"),
        }
    }

    /// Adds a copy between buffers; both slices have the same size, a multiple of 4.
    pub fn copy(&mut self, from: impl Into<Slice>, to: impl Into<Slice>) {
        self.commands.push(Pending::Copy { from: from.into(), to: to.into() });
    }

    pub fn len(&self) -> usize {
        self.commands.len()
    }

    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Kernels in the order of their dispatches.
    pub fn kernels(&self) -> impl Iterator<Item = &Kernel> {
        self.commands.iter().filter_map(|command| match command {
            Pending::Dispatch(dispatch) => Some(&dispatch.kernel),
            Pending::Copy { .. } => None,
        })
    }

    /// Whether both hold the same commands, whatever buffers they name: kernel texts, parameters, workgroups.
    pub fn same_work(&self, other: &Recorder) -> bool {
        let same = |(a, b): (&Pending, &Pending)| match (a, b) {
            (Pending::Dispatch(a), Pending::Dispatch(b)) => {
                a.kernel.source() == b.kernel.source() && a.groups == b.groups && a.params == b.params
            }
            (Pending::Copy { from: a, .. }, Pending::Copy { from: b, .. }) => a.size == b.size,
            _ => false,
        };
        self.len() == other.len() && self.commands.iter().zip(&other.commands).all(same)
    }

    /// Compiles what is not compiled yet and builds every bind group once.
    ///
    /// # Errors
    /// [`GpuError::Validation`] naming a kernel that does not compile or a binding that is missing, unknown or does not
    /// fit; [`GpuError::DeviceLost`] after a loss.
    pub async fn finish(self, device: &Device) -> Result<Recording, GpuError> {
        let align = device.caps().offset_alignment.max(16);
        let mut words: Vec<u8> = Vec::new();
        let mut offsets = Vec::new();
        for command in &self.commands {
            let Pending::Dispatch(dispatch) = command else { continue };
            words.resize(words.len().next_multiple_of(align as usize), 0);
            let packed = dispatch.kernel.pack(&dispatch.params)?;
            offsets.push((words.len() as u64, (packed.len() as u64 * 4).next_multiple_of(16)));
            words.extend(bytemuck::cast_slice(&packed));
        }
        words.resize(words.len().next_multiple_of(16).max(16), 0);
        let params = device.buffer("kernel parameters", words.len() as u64, Usage::Uniform).await?;
        device.write(&params, 0, &words);

        let mut buffers = vec![params.clone()];
        let mut steps = Vec::with_capacity(self.commands.len());
        let mut at = offsets.into_iter();
        for command in self.commands {
            steps.push(match command {
                Pending::Copy { from, to } => Step::Copy { from, to },
                Pending::Dispatch(dispatch) => {
                    let (offset, size) = at.next().unwrap_or_default();
                    let pipeline = device.pipeline(&dispatch.kernel).await?;
                    buffers.extend(dispatch.bindings.iter().map(|(_, slice)| slice.buffer.clone()));
                    make_step(device, dispatch, pipeline, Slice { buffer: params.clone(), offset, size })?
                }
            });
        }
        buffers.dedup_by(|a, b| a.same(b));
        Ok(Recording { steps, _buffers: buffers })
    }
}

fn make_step(device: &Device, dispatch: DispatchBuilder, pipeline: Pipeline, params: Slice) -> Result<Step, GpuError> {
    let limit = device.caps().max_groups;
    let label = dispatch.kernel.label().to_string();
    if let Some(&need) = dispatch.groups.iter().find(|&&g| g > limit) {
        return Err(GpuError::LimitTooSmall {
            limit: "maxComputeWorkgroupsPerDimension",
            have: limit.into(),
            need: need.into(),
            what: format!("kernel `{label}`"),
        });
    }
    let slices = dispatch.ordered()?;
    if let Some(slice) = slices.iter().find(|s| s.size > device.caps().max_binding) {
        let what = format!("buffer `{}`", slice.buffer.label());
        return Err(GpuError::LimitTooSmall {
            limit: "maxStorageBufferBindingSize",
            have: device.caps().max_binding,
            need: slice.size,
            what,
        });
    }
    fn resource(slice: &Slice) -> wgpu::BindingResource<'_> {
        let size = std::num::NonZeroU64::new(slice.size);
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: slice.buffer.raw(), offset: slice.offset, size })
    }
    let mut entries = Vec::with_capacity(slices.len() + 1);
    if dispatch.kernel.has_params() {
        entries.push(wgpu::BindGroupEntry { binding: 0, resource: resource(&params) });
    }
    entries.extend(slices.iter().enumerate().map(|(i, slice)| wgpu::BindGroupEntry { binding: i as u32 + 1, resource: resource(slice) }));
    let group = device.0.raw.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(&label),
        layout: &pipeline.layout.group,
        entries: &entries,
    });
    Ok(Step::Dispatch { pipeline: pipeline.raw, group, groups: dispatch.groups, label })
}

#[derive(Debug)]
pub(crate) enum Step {
    Dispatch { pipeline: wgpu::ComputePipeline, group: wgpu::BindGroup, groups: [u32; 3], label: String },
    Copy { from: Slice, to: Slice },
}

/// Commands ready to be replayed.
#[derive(Debug)]
pub struct Recording {
    pub(crate) steps: Vec<Step>,
    /// What the bind groups name must live as long as they do.
    _buffers: Vec<Buffer>,
}

impl Recording {
    /// Dispatches in one replay.
    pub fn dispatches(&self) -> usize {
        self.steps.iter().filter(|s| matches!(s, Step::Dispatch { .. })).count()
    }

    /// Commands in one replay, copies among them.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Adds the commands of `part`, as far as there are so many.
    pub(crate) fn encode(&self, encoder: &mut wgpu::CommandEncoder, part: Range<usize>) {
        let (mut at, end) = (part.start, part.end.min(self.steps.len()));
        while at < end {
            if let Step::Copy { from, to } = &self.steps[at] {
                copy(encoder, from, to);
                at += 1;
                continue;
            }
            let mut pass = encoder.begin_compute_pass(&Default::default());
            while let Some(Step::Dispatch { pipeline, group, groups, .. }) = self.steps[..end].get(at) {
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, group, &[]);
                pass.dispatch_workgroups(groups[0], groups[1], groups[2]);
                at += 1;
            }
        }
    }
}

pub(crate) fn copy(encoder: &mut wgpu::CommandEncoder, from: &Slice, to: &Slice) {
    encoder.copy_buffer_to_buffer(from.buffer.raw(), from.offset, to.buffer.raw(), to.offset, from.size);
}

/// A slice of `buffer` from `offset`, `size` bytes long.
impl Buffer {
    pub fn slice(&self, offset: u64, size: u64) -> Slice {
        Slice { buffer: self.clone(), offset, size }
    }
}
