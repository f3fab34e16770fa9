//! Where the time of a step goes.

use crate::runner::MAX_CHUNK;
use crate::{Error, Session};
use rullama_gpu::KernelTime;
use rullama_model::gemma4::Rows;
use rullama_ops::sample::SampleMode;

/// A step's dispatches, and the time of each where the adapter has timestamps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepProfile {
    pub dispatches: usize,
    pub kernels: Vec<KernelTime>,
}

impl Session {
    /// Runs one decode step at the current position, timing every kernel; the step's token is
    /// not kept.
    pub async fn profile_decode(&mut self) -> Result<StepProfile, Error> {
        let position = self.position();
        self.settle().await?;
        // The timed replay is a step further on.
        self.runner.reserve(position + 2).await?;
        self.runner.set_step(0, position);
        let device = self.engine().device().clone();
        let plan = self.runner.step(Some(0), position, Some(SampleMode::Greedy)).await?;
        let kernels = device.profile(&plan.recording).await?;
        Ok(StepProfile { dispatches: plan.recording.dispatches(), kernels })
    }

    /// The same for a prompt's last chunk of `tokens`.
    pub async fn profile_prefill(&mut self, tokens: u32) -> Result<StepProfile, Error> {
        let ids = vec![0; tokens.min(MAX_CHUNK) as usize];
        let device = self.engine().device().clone();
        let position = self.position();
        let plan = self.runner.chunk(&ids, position, Rows::Last, Some(SampleMode::Greedy), false).await?;
        let kernels = device.profile(&plan.recording).await?;
        Ok(StepProfile { dispatches: plan.recording.dispatches(), kernels })
    }
}
