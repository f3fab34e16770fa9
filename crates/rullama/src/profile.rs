//! Where the time of a step goes.

use crate::prompt::PromptStep;
use crate::runner::Chunk;
use crate::{Cancel, Error, Session};
use rullama_gpu::KernelTime;
use rullama_model::model::Rows;
use rullama_model::pace::MAX_CHUNK;
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
        self.settle().await?;
        let position = self.position();
        // The timed replay is a step further on.
        self.runner.reserve(position + 2).await?;
        self.runner.set_step(0, 0);
        self.runner.steps(1, Some(0), Some(SampleMode::Greedy)).await?;
        let device = self.engine().device().clone();
        let plan = self.runner.decode_plan(SampleMode::Greedy).await?;
        let profile = StepProfile { dispatches: plan.recording.dispatches(), kernels: device.profile(&plan.recording).await? };
        self.runner.set_position(position);
        Ok(profile)
    }

    /// The same for a prompt's last chunk of `tokens`.
    pub async fn profile_prefill(&mut self, tokens: u32) -> Result<StepProfile, Error> {
        let ids = vec![0; tokens.min(MAX_CHUNK) as usize];
        let position = self.position();
        let step = PromptStep::of_tokens(ids);
        let chunk = Chunk { step: &step, rows: Rows::Last, sampler: Some(SampleMode::Greedy), taps: false };
        self.runner.chunk(chunk, &Cancel::new(), &[]).await?;
        let device = self.engine().device().clone();
        let plan = self.runner.chunk_plan(step.ids.len() as u32, SampleMode::Greedy).await?;
        let profile = StepProfile { dispatches: plan.recording.dispatches(), kernels: device.profile(&plan.recording).await? };
        self.runner.set_position(position);
        Ok(profile)
    }
}
