//! Running a recording: its parts one after the other.

use crate::pace::Pace;
use crate::plan::Plan;
use crate::{Loaded, ModelError};
use rullama_gpu::{Device, Readback};
use rullama_ops::Tensor;
use std::collections::VecDeque;
use std::ops::Range;
use web_time::Instant;

/// Parts of a recording that are submitted before the first of them is waited for.
const UNDER_WAY: usize = 2;

/// Work under way, since when, and the fence behind it.
struct Part {
    fence: Readback,
    work: u64,
    submitted: Instant,
}

impl Loaded {
    /// Submits a recording in parts that take about as long as the pace wants, a few of them ahead of the GPU. `step` is the
    /// position behind its last token, and its padded tokens. `fences` are kept for the next call.
    ///
    /// # Errors
    /// [`ModelError::Cancelled`] between two parts; a lost device.
    pub async fn run_parts(
        &self,
        plan: &Plan,
        fences: &mut Vec<Readback>,
        step: (u32, u32),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), ModelError> {
        self.run_range(plan, 0..plan.recording.len(), fences, step, cancelled).await
    }

    /// The same of a range of its commands.
    pub(crate) async fn run_range(
        &self,
        plan: &Plan,
        range: Range<usize>,
        fences: &mut Vec<Readback>,
        step: (u32, u32),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), ModelError> {
        run_parts(&self.device, &self.pace, (plan, range), fences, step, cancelled).await
    }

    /// The first rows of a tensor that a plan left.
    ///
    /// # Errors
    /// A lost device.
    pub async fn read_rows(&self, tensor: &Tensor, rows: u32) -> Result<Vec<f32>, ModelError> {
        read_rows(&self.device, tensor, rows).await
    }
}

/// As [`Loaded::run_parts`], at the pace of what runs there.
pub(crate) async fn run_parts(
    device: &Device,
    pace: &Pace,
    (plan, range): (&Plan, Range<usize>),
    fences: &mut Vec<Readback>,
    (end, tokens): (u32, u32),
    cancelled: &dyn Fn() -> bool,
) -> Result<(), ModelError> {
    let mut under_way: VecDeque<Part> = VecDeque::new();
    let mut done = Instant::now();
    let mut at = range.start;
    while at < range.end || !under_way.is_empty() {
        let more = at < range.end && !cancelled();
        if more && under_way.len() < UNDER_WAY {
            let (part, work) = plan.part((at, range.end), end, pace.submission());
            at = part.end;
            let submitted = Instant::now();
            device.submit_part(&plan.recording, part);
            let fence = match fences.pop() {
                Some(fence) => fence,
                None => Readback::new(device, 16).await?,
            };
            fence.start(device, None);
            under_way.push_back(Part { fence, work, submitted });
            continue;
        }
        let Some(part) = under_way.pop_front() else { return Err(ModelError::Cancelled) };
        part.fence.wait(device).await?;
        // The part before it ran until `done`.
        let started = part.submitted.max(done);
        done = Instant::now();
        pace.learn(tokens, part.work, (done - started).as_secs_f64());
        fences.push(part.fence);
    }
    Ok(())
}

/// As [`Loaded::read_rows`], on any device.
pub(crate) async fn read_rows(device: &Device, tensor: &Tensor, rows: u32) -> Result<Vec<f32>, ModelError> {
    let len = u64::from(rows.min(tensor.rows)) * u64::from(tensor.cols) * 4;
    let bytes = device.read(&tensor.slice.buffer, tensor.slice.offset, len).await?;
    Ok(bytemuck::pod_collect_to_vec(&bytes))
}
