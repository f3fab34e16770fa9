//! Time per kernel, from GPU timestamps.

use crate::recording::{Step, copy};
use crate::{Buffer, Device, GpuError, Recording};

/// What one dispatch of a recording took.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelTime {
    pub label: String,
    pub seconds: f64,
}

/// WebGPU's largest query set.
const MAX_QUERIES: usize = 4096;

impl Device {
    /// Replays a recording with one timed pass a dispatch, slower in all than [`Device::submit`].
    /// Empty when the adapter has no timestamps.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`] without room for the times, [`GpuError::DeviceLost`] after a loss, [`GpuError::Timeout`] when the GPU does not answer.
    pub async fn profile(&self, recording: &Recording) -> Result<Vec<KernelTime>, GpuError> {
        if !self.caps().timestamps {
            return Ok(Vec::new());
        }
        let mut times = Vec::new();
        for steps in recording.steps.chunks(MAX_QUERIES / 2) {
            times.extend(self.profile_part(steps).await?);
        }
        Ok(times)
    }

    async fn profile_part(&self, steps: &[Step]) -> Result<Vec<KernelTime>, GpuError> {
        let count = 2 * steps.len() as u32;
        let (set, ticks) = self.timestamps(count).await?;
        let mut encoder = self.0.raw.create_command_encoder(&Default::default());
        for (i, step) in steps.iter().enumerate() {
            match step {
                Step::Copy { from, to } => copy(&mut encoder, from, to),
                Step::Dispatch { pipeline, group, groups, .. } => {
                    let (begin, end) = (Some(2 * i as u32), Some(2 * i as u32 + 1));
                    let writes = wgpu::ComputePassTimestampWrites {
                        query_set: &set,
                        beginning_of_pass_write_index: begin,
                        end_of_pass_write_index: end,
                    };
                    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes: Some(writes) });
                    pass.set_pipeline(pipeline);
                    pass.set_bind_group(0, group, &[]);
                    pass.dispatch_workgroups(groups[0], groups[1], groups[2]);
                }
            }
        }
        encoder.resolve_query_set(&set, 0..count, ticks.raw(), 0);
        self.0.queue.submit([encoder.finish()]);
        let bytes = self.read(&ticks, 0, ticks.size()).await?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&bytes);
        let period = f64::from(self.0.queue.get_timestamp_period()) * 1e-9;
        let timed = steps.iter().zip(ticks.chunks_exact(2)).filter_map(|(step, t)| match step {
            Step::Dispatch { label, .. } => Some(KernelTime { label: label.clone(), seconds: t[1].saturating_sub(t[0]) as f64 * period }),
            Step::Copy { .. } => None,
        });
        Ok(timed.collect())
    }

    /// Queries, and the buffer that their values go to.
    async fn timestamps(&self, count: u32) -> Result<(wgpu::QuerySet, Buffer), GpuError> {
        let (label, size) = ("timestamps", u64::from(count) * 8);
        let queries = wgpu::QuerySetDescriptor { label: Some(label), ty: wgpu::QueryType::Timestamp, count };
        let set = self.scoped(label, size, |raw| raw.create_query_set(&queries)).await?;
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let buffer = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let ticks = self.scoped(label, size, |raw| raw.create_buffer(&buffer)).await?;
        Ok((set, Buffer::new(ticks, size, label.to_string(), self.0.allocated.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AdapterProfile, Kernel, OpenOptions, Recorder, Usage};

    #[test]
    fn every_dispatch_is_timed_and_nothing_stays() {
        let device = pollster::block_on(Device::open(&OpenOptions::default())).expect("a GPU adapter");
        let source = "@group(0) @binding(1) var<storage, read_write> y: array<u32>;
            @compute @workgroup_size(1) fn main() { y[0] += 1u; }";
        let kernel = Kernel::reflect("count", source).unwrap();
        let y = pollster::block_on(device.buffer("y", 16, Usage::Storage)).unwrap();
        let copy = pollster::block_on(device.buffer("copy", 16, Usage::Storage)).unwrap();
        let mut recorder = Recorder::new();
        // More than one query set holds.
        for _ in 0..MAX_QUERIES / 2 + 3 {
            recorder.dispatch(&kernel, [1, 1, 1]).bind("y", &y);
        }
        recorder.copy(&y, &copy);
        let recording = pollster::block_on(recorder.finish(&device)).unwrap();
        let before = device.allocated();
        let times = pollster::block_on(device.profile(&recording)).unwrap();
        let timed = if device.caps().timestamps { MAX_QUERIES / 2 + 3 } else { 0 };
        assert_eq!((times.len(), device.allocated()), (timed, before));
    }

    #[test]
    fn refused_queries_are_an_error_of_this_call() {
        let device = pollster::block_on(Device::open(&OpenOptions::default())).expect("a GPU adapter");
        if device.caps().timestamps {
            let refused = pollster::block_on(device.timestamps(MAX_QUERIES as u32 + 2));
            assert!(matches!(refused, Err(GpuError::Validation { .. })), "{refused:?}");
            device.check().unwrap();
        }
        let options = OpenOptions { profile: AdapterProfile::WebGpuDefaults, ..Default::default() };
        let plain = pollster::block_on(Device::open(&options)).expect("a GPU adapter");
        let refused = pollster::block_on(plain.timestamps(2));
        assert!(matches!(refused, Err(GpuError::Validation { .. })), "{refused:?}");
        plain.check().unwrap();
    }
}
