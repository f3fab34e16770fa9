//! Where the time of a step goes.

use crate::prompt::PromptStep;
use crate::runner::Chunk;
use crate::{Cancel, Engine, Error, Medium, Session};
use rullama_gpu::KernelTime;
use rullama_model::model::Rows;
use rullama_model::pace::MAX_CHUNK;
use rullama_ops::sample::SampleMode;
use web_time::Instant;

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

/// What it takes to perceive a medium, in seconds where nothing else is said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MediumProfile {
    /// Rows of what the tower reads: patches, frames of a spectrogram or of samples.
    pub rows: u32,
    pub soft_tokens: u32,
    /// Reading the tower's weights to the GPU, where they were not there.
    pub load: f64,
    /// On the CPU, of a medium to what the tower reads: resize, spectrogram.
    pub preparation: f64,
    /// From there to soft tokens that a prompt can take: what follows, and making and reading the step's buffers.
    pub encoding: f64,
    /// The GPU's part.
    pub device: f64,
    /// All buffers while it runs.
    pub gpu_bytes: u64,
    /// The step: of each window's, one after the other.
    pub step: StepProfile,
}

impl Engine {
    /// Perceives a medium as [`Engine::perceive`] does, with the time of each part; `kernels` also times every kernel, apart.
    ///
    /// # Errors
    /// As [`Engine::perceive`].
    pub async fn profile_medium(&self, medium: &Medium, kernels: bool, cancel: &Cancel) -> Result<MediumProfile, Error> {
        let seconds = |since: Instant| since.elapsed().as_secs_f64();
        let mut profile = MediumProfile::default();
        let (loaded, device, started) = (self.loaded(), self.device(), Instant::now());
        let tower = self.tower(medium.sense(), cancel).await?;
        profile.load = seconds(started);
        let started = Instant::now();
        let wants = tower.tower.wants();
        let windows = medium.features(wants)?;
        profile.preparation = seconds(started);
        for features in windows {
            let started = Instant::now();
            let run = tower.prepare(loaded, &features, false).await?;
            let began = Instant::now();
            run.run(loaded, &|| cancel.is_cancelled()).await?;
            profile.device += seconds(began);
            run.outputs(loaded).await?;
            profile.encoding += seconds(started);
            profile.gpu_bytes = profile.gpu_bytes.max(device.allocated());
            profile.rows += features.rows();
            profile.soft_tokens += wants.soft_tokens(features.rows());
            profile.step.dispatches += run.recording().dispatches();
            if kernels {
                profile.step.kernels.extend(device.profile(run.recording()).await?);
            }
        }
        Ok(profile)
    }
}
