//! Keeps decode steps in flight.
//!
//! On the GPU the sampled id never leaves before the next step uses it, so steps are queued in
//! groups, with one read-back of results a group and two groups under way: the host reads one
//! while the other runs. Streamed per-layer rows and host sampling need each id first: then a
//! step waits for its token.

use crate::Error;
use crate::runner::Runner;
use rullama_gpu::Readback;
use rullama_ops::sample::{self, RESULT_WORDS, RESULTS, SampleResult, SampleSettings};
use std::collections::VecDeque;
use web_time::Instant;

/// Seconds that a group should take: short enough to stream, long against a read-back.
const GROUP_SECONDS: f64 = 0.02;
/// Most steps of a group; two are under way.
const MAX_GROUP: usize = 8;

/// Steps queued together and the copy of their results.
struct Group {
    readback: Readback,
    steps: usize,
    started: Instant,
}

/// Gives token after token of one answer.
pub(crate) struct Decoder<'a> {
    settings: SampleSettings,
    bias: Vec<(u32, f32)>,
    prompt: &'a [u32],
    under_way: VecDeque<Group>,
    ready: VecDeque<SampleResult>,
    spare: Vec<Readback>,
    /// Steps queued so far; step i takes the i-th generated token as input.
    submitted: usize,
    /// Results read so far: the sampler's counter.
    read: usize,
    group: usize,
}

impl<'a> Decoder<'a> {
    pub fn new(settings: SampleSettings, bias: Vec<(u32, f32)>, prompt: &'a [u32]) -> Self {
        let (under_way, ready) = Default::default();
        Decoder { settings, bias, prompt, under_way, ready, spare: Vec::new(), submitted: 0, read: 0, group: 1 }
    }

    pub fn submitted(&self) -> usize {
        self.submitted
    }

    /// The token that the prompt's logits gave.
    pub async fn first(&mut self, runner: &mut Runner) -> Result<SampleResult, Error> {
        if self.settings.mode().is_none() {
            return self.on_host(runner, &[]).await;
        }
        self.queue_readback(runner, 1, Instant::now()).await?;
        self.collect(runner).await?;
        Ok(self.ready.pop_front().unwrap_or_default())
    }

    /// The token after `generated`; at most `most` more are wanted.
    pub async fn next(&mut self, runner: &mut Runner, generated: &[u32], most: usize) -> Result<SampleResult, Error> {
        if let Some(sampled) = self.ready.pop_front() {
            return Ok(sampled);
        }
        let position = (self.prompt.len() + self.submitted) as u32;
        if self.settings.mode().is_none() {
            let id = generated.last().copied().unwrap_or_default();
            runner.reserve(position + 1).await?;
            runner.set_step(id, position);
            self.submitted += 1;
            runner.step(Some(id), position, None).await?;
            return self.on_host(runner, generated).await;
        }
        // Where each step waits for its token, one group of one; else two groups.
        let (groups, steps) = if runner.streamed() { (1, 1) } else { (2, self.group) };
        while self.under_way.len() < groups {
            let queued = self.submitted + 1 - generated.len();
            let steps = steps.min(most.saturating_sub(queued));
            if steps == 0 && !self.under_way.is_empty() {
                break;
            }
            self.queue(runner, steps.max(1), generated).await?;
        }
        self.collect(runner).await?;
        Ok(self.ready.pop_front().unwrap_or_default())
    }

    async fn queue(&mut self, runner: &mut Runner, steps: usize, generated: &[u32]) -> Result<(), Error> {
        let started = Instant::now();
        let position = (self.prompt.len() + self.submitted) as u32;
        runner.reserve(position + steps as u32).await?;
        for i in 0..steps {
            let id = if runner.streamed() { generated.last().copied() } else { None };
            runner.step(id, position + i as u32, self.settings.mode()).await?;
            self.submitted += 1;
        }
        self.queue_readback(runner, steps, started).await
    }

    async fn queue_readback(&mut self, runner: &Runner, steps: usize, started: Instant) -> Result<(), Error> {
        let bytes = (RESULTS * RESULT_WORDS * 4) as u64;
        let readback = match self.spare.pop() {
            Some(readback) => readback,
            None => Readback::new(runner.device(), bytes).await?,
        };
        readback.start(runner.device(), Some((runner.results(), 0, bytes)));
        self.under_way.push_back(Group { readback, steps, started });
        Ok(())
    }

    /// Waits for the oldest group.
    async fn collect(&mut self, runner: &Runner) -> Result<(), Error> {
        let Some(group) = self.under_way.pop_front() else { return Ok(()) };
        let words: Vec<u32> = bytemuck::pod_collect_to_vec(&group.readback.wait(runner.device()).await?);
        self.spare.push(group.readback);
        for _ in 0..group.steps {
            let record = &words[self.read % RESULTS * RESULT_WORDS..][..RESULT_WORDS];
            self.ready.push_back(SampleResult::from_record(record, self.settings.logprobs));
            self.read += 1;
        }
        if self.read > 1 {
            self.adapt(group.steps, group.started.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// Groups as long as streaming allows.
    fn adapt(&mut self, steps: usize, seconds: f64) {
        let fitting = (GROUP_SECONDS * steps as f64 / seconds.max(1e-6)) as usize;
        self.group = fitting.clamp(1, (2 * self.group).min(MAX_GROUP));
    }

    /// Waits for what is still under way; its tokens are not wanted.
    pub async fn drain(&mut self, runner: &mut Runner) -> Result<(), Error> {
        while !self.under_way.is_empty() {
            self.collect(runner).await?;
        }
        Ok(())
    }

    /// Samples on the host from the logits read back.
    async fn on_host(&mut self, runner: &mut Runner, generated: &[u32]) -> Result<SampleResult, Error> {
        let logits = runner.logits().await?;
        let tokens: Vec<u32> = self.prompt.iter().chain(generated).copied().collect();
        let position = tokens.len() as u32 - 1;
        Ok(sample::reference(&logits, &self.settings, &self.bias, &tokens, position))
    }
}
