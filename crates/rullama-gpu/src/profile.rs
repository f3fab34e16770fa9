//! Time per kernel, from GPU timestamps.

use crate::recording::{Step, copy};
use crate::{Device, GpuError, Recording, Usage};

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
        let set = self.0.raw.create_query_set(&wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count });
        let ticks = self.0.raw.create_buffer(&wgpu::BufferDescriptor {
            label: Some("timestamps"),
            size: u64::from(count) * 8,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
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
        encoder.resolve_query_set(&set, 0..count, &ticks, 0);
        let host = self.buffer("timestamps", u64::from(count) * 8, Usage::Storage).await?;
        encoder.copy_buffer_to_buffer(&ticks, 0, host.raw(), 0, u64::from(count) * 8);
        self.0.queue.submit([encoder.finish()]);
        let bytes = self.read(&host, 0, u64::from(count) * 8).await?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&bytes);
        let period = f64::from(self.0.queue.get_timestamp_period()) * 1e-9;
        let timed = steps.iter().zip(ticks.chunks_exact(2)).filter_map(|(step, t)| match step {
            Step::Dispatch { label, .. } => Some(KernelTime { label: label.clone(), seconds: t[1].saturating_sub(t[0]) as f64 * period }),
            Step::Copy { .. } => None,
        });
        Ok(timed.collect())
    }
}
