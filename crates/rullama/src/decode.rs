//! Keeps decode steps in flight.
//!
//! On the GPU the sampled id never leaves before the next step uses it, so steps are queued in
//! groups, with one read-back of results a group and two groups under way: the host reads one
//! while the other runs. Streamed experts and host sampling need each id first: then a
//! step waits for its token. So it does where an answer is held to a format: the mask of the tokens that may come next is made
//! while the GPU computes their logits. A draft is verified once no step is under way.
//!
//! With streamed per-layer rows a queued step is right if the row of the token that it got was there. Where one was not, what was queued
//! from that step on is void: its results are not looked at, and the same positions are computed again behind it, with the row. What void
//! steps leave is written over before it is read, as what rejected drafts leave is: keys and values of positions that are not reached yet,
//! results and tokens of the history by their index, and the step's state, which the host sets anew. How far steps are queued ahead
//! follows from how often rows are there ([`Ahead`](crate::ahead::Ahead)). A step whose workgroups did not all come is void in the same way.

use crate::Error;
use crate::format::{Constraint, refused};
use crate::options::Speculate;
use crate::runner::Runner;
use crate::speculation::{Origin, Speculated, Speculation, Wanted, reads_behind};
use rullama_gpu::Readback;
use rullama_ops::sample::{self, RESULT_WORDS, RESULTS, SampleMode, SampleResult, SampleSettings};
use std::collections::VecDeque;
use web_time::Instant;

/// Steps queued together and the copy of their results.
struct Group {
    readback: Readback,
    steps: usize,
    queued: Instant,
    /// Of [`Decoder::away`] then.
    away: f64,
    /// The time of the rows that were there then.
    rows: u64,
    /// What its steps computed is not wanted.
    void: bool,
}

/// Gives token after token of one answer.
pub(crate) struct Decoder<'a> {
    settings: SampleSettings,
    bias: Vec<(u32, f32)>,
    prompt: &'a [u32],
    /// What the answer is held to.
    constraint: Option<Constraint>,
    /// Draws may turn out void: nothing that they write over is needed.
    forgets: bool,
    speculation: Option<Speculation>,
    pub speculated: Speculated,
    under_way: VecDeque<Group>,
    ready: VecDeque<SampleResult>,
    spare: Vec<Readback>,
    /// Results read so far, the sampler's counter, and the id of the last.
    read: usize,
    last: u32,
    groups: Groups,
    /// When the group before was there, and what `away` was.
    collected: (Instant, f64),
    /// Seconds that whoever takes the tokens took with them, and since when the last is theirs.
    away: f64,
    given: Instant,
}

impl<'a> Decoder<'a> {
    pub fn new(settings: SampleSettings, bias: Vec<(u32, f32)>, prompt: &'a [u32], constraint: Option<Constraint>) -> Self {
        let (under_way, ready, spare, groups, speculated) = Default::default();
        let (speculation, given) = (None, Instant::now());
        let forgets = !reads_behind(&settings, 2 * Groups::MOST);
        Decoder {
            settings,
            bias,
            prompt,
            constraint,
            forgets,
            speculation,
            speculated,
            under_way,
            ready,
            spare,
            read: 0,
            last: 0,
            groups,
            collected: (given, 0.0),
            away: 0.0,
            given,
        }
    }

    /// Verifies drafts, where the settings let it.
    pub fn speculating(mut self, choice: Speculate) -> Self {
        self.speculation = Speculation::of(choice, &self.settings, self.prompt);
        self
    }

    /// The token that the prompt's logits gave.
    pub async fn first(&mut self, runner: &mut Runner) -> Result<SampleResult, Error> {
        if self.settings.mode().is_none() {
            return self.on_host(runner, &[]);
        }
        self.queue_readback(runner, 1, (Instant::now(), 0)).await?;
        self.collect(runner).await?;
        self.given = Instant::now();
        self.ready.pop_front().filter(|drawn| !drawn.none_allowed).ok_or_else(nothing_allowed)
    }

    /// The token after `generated`; at most `most` more are wanted.
    pub async fn next(&mut self, runner: &mut Runner, generated: &[u32], most: usize) -> Result<SampleResult, Error> {
        self.away += self.given.elapsed().as_secs_f64();
        let next = self.behind(runner, generated, most).await;
        self.given = Instant::now();
        next
    }

    async fn behind(&mut self, runner: &mut Runner, generated: &[u32], most: usize) -> Result<SampleResult, Error> {
        let last = generated.last().copied().unwrap_or_default();
        let Some(mode) = self.settings.mode() else {
            let position = runner.position();
            runner.reserve(position + 1).await?;
            loop {
                runner.set_step(last, 0);
                runner.steps(1, Some(last), None).await?;
                let finite = runner.logits().first().is_some_and(|logit| !logit.is_nan());
                if finite || !runner.gave_up().await? {
                    return self.on_host(runner, generated);
                }
                runner.set_position(position);
            }
        };
        // A void step brings nothing.
        while let Some(constraint) = &mut self.constraint {
            // The mask is that of the tokens so far, so nothing is queued behind.
            let queued = Instant::now();
            runner.reserve(runner.position() + 1).await?;
            let made = runner.masked_step(last, mode, constraint).await;
            self.queue_readback(runner, 1, (queued, 0)).await?;
            self.collect(runner).await?;
            made?;
            if let Some(drawn) = self.ready.pop_front() {
                return if drawn.none_allowed { Err(nothing_allowed()) } else { Ok(drawn) };
            }
        }
        // Void groups bring nothing.
        while self.ready.is_empty() {
            let drafter = runner.can_draft();
            let draft = self.speculation.as_mut().and_then(|of| of.draft(&mut runner.gains, self.prompt.len(), generated, most, drafter));
            match draft {
                // It waits for those under way.
                Some(_) if !self.under_way.is_empty() => self.collect(runner).await?,
                Some(Wanted::Ids(draft)) => {
                    let ids = [&[last], &draft[..]].concat();
                    let started = self.verify(runner, &ids, false, mode).await?;
                    self.accept_draws(runner, &draft).await?;
                    runner.gains.learn_step(ids.len() as u32, (self.collected.0 - started).as_secs_f64());
                }
                Some(Wanted::Drafts(count)) => self.guess(runner, last, count, mode).await?,
                None => {
                    self.queue_groups(runner, generated, most, mode).await?;
                    self.collect(runner).await?;
                }
            }
        }
        Ok(self.ready.pop_front().unwrap_or_default())
    }

    /// Queues as much as is to be under way: where each step waits for its token, one group of one, else two groups.
    async fn queue_groups(&mut self, runner: &mut Runner, generated: &[u32], most: usize, mode: SampleMode) -> Result<(), Error> {
        let waits = (runner.may_void() && !self.forgets) || self.speculation.as_ref().is_some_and(Speculation::always);
        let (groups, steps) = match runner.steps_ahead().filter(|_| !waits) {
            None => (1, 1),
            Some(ahead) => (2, self.groups.steps.min(ahead)),
        };
        while self.live() < groups {
            let queued = runner.position() as usize - self.prompt.len() + 1 - generated.len();
            let steps = steps.min(most.saturating_sub(queued));
            if steps == 0 && self.live() > 0 {
                break;
            }
            let (steps, started) = (steps.max(1), Instant::now());
            runner.reserve(runner.position() + steps as u32).await?;
            // Of a group that is queued behind another nobody knows the first token yet.
            let id = generated.last().copied().filter(|_| self.live() == 0);
            let rows = runner.steps(steps, id, Some(mode)).await?;
            self.queue_readback(runner, steps, (started, rows)).await?;
            if groups == 1 {
                runner.encode_ahead(mode);
            }
        }
        Ok(())
    }

    /// Groups under way whose results are wanted.
    fn live(&self) -> usize {
        self.under_way.iter().filter(|group| !group.void).count()
    }

    /// Has the drafter make a draft, and verifies it: queued behind it, unless the host has to bring rows of its tokens.
    async fn guess(&mut self, runner: &mut Runner, last: u32, count: usize, mode: SampleMode) -> Result<(), Error> {
        let started = Instant::now();
        runner.queue_drafts(last, count).await?;
        let known = if runner.streams_rows() { Some(runner.drafted().await?) } else { None };
        let ids = [&[last], known.as_deref().unwrap_or(&vec![0; count])].concat();
        self.verify(runner, &ids, known.is_none(), mode).await?;
        let draft = match known {
            Some(draft) => draft,
            None => runner.drafted().await?,
        };
        let accepted = self.accept_draws(runner, &draft).await?;
        runner.gains.learn_round(count, (self.collected.0 - started).as_secs_f64());
        runner.gains.learn_draft(Origin::Drafter, draft.len(), accepted);
        Ok(())
    }

    /// Queues the draws behind the last token and behind each of a draft; gives when they began.
    async fn verify(&mut self, runner: &mut Runner, ids: &[u32], queued: bool, mode: SampleMode) -> Result<Instant, Error> {
        let started = runner.verify(ids, self.read as u32, mode, queued).await?;
        self.queue_readback(runner, ids.len(), (started, 0)).await?;
        runner.encode_round_ahead(ids.len() as u32, mode);
        Ok(started)
    }

    /// Adds the draws behind the last token and behind as much of a draft as was drawn, which it gives.
    async fn accept_draws(&mut self, runner: &mut Runner, draft: &[u32]) -> Result<usize, Error> {
        let Some(words) = self.wait(runner).await? else { return Err(nothing_allowed()) };
        let mut accepted = 0;
        loop {
            let drawn = self.take(&words);
            let (id, holds) = (drawn.id, !drawn.not_finite && draft.get(accepted) == Some(&drawn.id));
            self.ready.push_back(drawn);
            if !holds {
                runner.set_position(runner.position() + accepted as u32 + 1);
                runner.set_step(id, self.read as u32);
                break;
            }
            accepted += 1;
        }
        self.speculated.drafted += draft.len() as u32;
        self.speculated.accepted += accepted as u32;
        Ok(accepted)
    }

    /// Copies the results of `steps` steps that were queued then, with these rows.
    async fn queue_readback(&mut self, runner: &Runner, steps: usize, (queued, rows): (Instant, u64)) -> Result<(), Error> {
        let bytes = (RESULTS * RESULT_WORDS * 4) as u64;
        let readback = match self.spare.pop() {
            Some(readback) => readback,
            None => Readback::new(runner.device(), bytes).await?,
        };
        readback.start(runner.device(), Some((runner.results(), 0, bytes)));
        self.under_way.push_back(Group { readback, steps, queued, away: self.away, rows, void: false });
        Ok(())
    }

    /// Waits for the oldest group, and takes its draws as far as they hold.
    async fn collect(&mut self, runner: &mut Runner) -> Result<(), Error> {
        let Some(Group { steps, queued, away, rows, void, .. }) = self.under_way.front() else { return Ok(()) };
        let (steps, rows, void) = (*steps, *rows, *void);
        let (started, away) = ((*queued).max(self.collected.0), self.away - away.max(self.collected.1));
        let Some(words) = self.wait(runner).await?.filter(|_| !void) else { return Ok(()) };
        for left in (0..steps).rev() {
            let last = self.last;
            let drawn = self.take(&words);
            if drawn.not_finite && runner.gave_up().await? {
                (self.last, self.read) = (last, self.read - 1);
                self.void(runner);
                break;
            }
            let id = drawn.id;
            self.ready.push_back(drawn);
            // The rows of the step that got it, if one is queued.
            let of_next = if left > 0 { Some(rows) } else { self.under_way.front().map(|next| next.rows) };
            let behind: usize = self.under_way.iter().map(|group| group.steps).sum();
            if !runner.holds(id, of_next, left + behind).await {
                self.void(runner);
                break;
            }
        }
        if self.read > 1 {
            let seconds = (self.collected.0 - started).as_secs_f64();
            if self.groups.learn(steps, seconds, seconds - away) {
                runner.gains.learn_plain(seconds / steps as f64);
            }
        }
        Ok(())
    }

    /// Goes on behind the last token: what is under way is not wanted.
    fn void(&mut self, runner: &mut Runner) {
        self.under_way.iter_mut().for_each(|group| group.void = true);
        runner.set_position((self.prompt.len() + self.read) as u32 - 1);
        runner.set_step(self.last, self.read as u32);
    }

    /// Waits for the oldest group and gives its copy of the results.
    async fn wait(&mut self, runner: &Runner) -> Result<Option<Vec<u32>>, Error> {
        let Some(group) = self.under_way.pop_front() else { return Ok(None) };
        let words = bytemuck::pod_collect_to_vec(&group.readback.wait(runner.device()).await?);
        self.collected = (Instant::now(), self.away);
        self.spare.push(group.readback);
        Ok(Some(words))
    }

    /// The next of the results.
    fn take(&mut self, words: &[u32]) -> SampleResult {
        let record = &words[self.read % RESULTS * RESULT_WORDS..][..RESULT_WORDS];
        self.read += 1;
        let drawn = SampleResult::from_record(record, self.settings.logprobs);
        self.last = drawn.id;
        drawn
    }

    /// Waits for what is still under way; its tokens are not wanted.
    pub async fn drain(&mut self, runner: &Runner) -> Result<(), Error> {
        while self.wait(runner).await?.is_some() {}
        Ok(())
    }

    /// Goes on behind a token that does not end the answer.
    pub fn accept(&mut self, id: u32) -> Result<(), Error> {
        self.constraint.as_mut().map_or(Ok(()), |constraint| constraint.accept(id))
    }

    /// Samples on the host from the logits read back.
    fn on_host(&mut self, runner: &Runner, generated: &[u32]) -> Result<SampleResult, Error> {
        let tokens: Vec<u32> = self.prompt.iter().chain(generated).copied().collect();
        let position = tokens.len() as u32 - 1;
        let mask = self.constraint.as_mut().map_or(Ok(&[][..]), Constraint::mask)?;
        let drawn = sample::reference(runner.logits(), &self.settings, &self.bias, &tokens, mask, position);
        if drawn.none_allowed { Err(nothing_allowed()) } else { Ok(drawn) }
    }
}

fn nothing_allowed() -> Error {
    refused("no token of this model can follow. Say the schema in another way")
}

/// Steps of a group, by the time that they take.
struct Groups {
    steps: usize,
}

impl Default for Groups {
    fn default() -> Self {
        Groups { steps: 1 }
    }
}

impl Groups {
    /// Seconds that a group should take: short enough to stream, long against a read-back.
    const SECONDS: f64 = 0.02;
    /// Most steps of a group; two are under way.
    const MOST: usize = 8;
    /// Part of a group's time that must have gone by in here, in submissions or waits: else it was done before, and its time is not known.
    const WAITED: f64 = 0.1;

    /// Learns from a group that took `seconds` since the one before it was there, of which `waited` went by in here; whether they are its own.
    fn learn(&mut self, steps: usize, seconds: f64, waited: f64) -> bool {
        let fitting = (Self::SECONDS * steps as f64 / seconds.max(1e-6)).round() as usize;
        let known = waited >= Self::WAITED * seconds;
        if fitting >= self.steps || known {
            self.steps = fitting.clamp(1, (2 * self.steps).min(Self::MOST));
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::Groups;

    /// A GPU that takes `step` seconds a step, two groups under way, a host that takes no time at first and then `token` seconds a
    /// token: the steps of the groups in the end.
    fn settled(step: f64, token: f64) -> usize {
        let mut groups = Groups::default();
        let (mut now, mut gpu, mut collected) = (0.0f64, 0.0f64, 0.0f64);
        let mut under_way = std::collections::VecDeque::new();
        for round in 0..60 {
            while under_way.len() < 2 {
                gpu = gpu.max(now) + groups.steps as f64 * step;
                under_way.push_back((groups.steps, now, gpu));
            }
            let Some((steps, queued, done)) = under_way.pop_front() else { break };
            let asked = now;
            now = now.max(done);
            groups.learn(steps, now - queued.max(collected), now - asked);
            collected = now;
            now += steps as f64 * if round < 20 { 0.0 } else { token };
        }
        groups.steps
    }

    #[test]
    fn groups_take_the_wanted_time() {
        assert_eq!(settled(1.0 / 268.0, 0.0), 5);
        assert_eq!(settled(1.0 / 1000.0, 0.0), Groups::MOST);
        assert_eq!(settled(0.015, 0.0), 1);
        assert_eq!(settled(0.2, 0.0), 1);
    }

    #[test]
    fn a_slow_consumer_does_not_shorten_groups() {
        for token in [0.001, 0.003, 0.005, 0.02, 1.0] {
            assert_eq!(settled(1.0 / 268.0, token), 5, "{token} s a token");
        }
    }
}
