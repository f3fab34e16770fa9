//! The device side of a drafter in a session: its recordings and words, and the hidden states that it goes on from.

use crate::plans::View;
use crate::speculation::ROWS;
use crate::{Error, words};
use rullama_gpu::{Buffer, Device, Encoded, Readback, Slice, Usage};
use rullama_model::Loaded;
use rullama_model::drafter::{HIDDEN, LoadedDrafter};
use rullama_model::kv_cache::KvCache;
use rullama_model::plan::Plan;
use rullama_model::words::WordBuffers;
use rullama_ops::sample::{RESULT_WORDS, SampleResult, SampleSettings};
use rullama_ops::{StepState, Words};
use std::collections::HashMap;
use std::ops::Range;

/// Most rows of hidden states that are kept: those of the longest step that verifies a draft.
const KEPT: u32 = ROWS[ROWS.len() - 1];

/// What drafts of a session need beside its caches.
pub(crate) struct Drafting {
    words: WordBuffers,
    /// `[KEPT, dim]`
    hidden: Buffer,
    /// Positions of the tokens whose states are there.
    kept: Range<u32>,
    /// By the number of drafts.
    plans: HashMap<u32, Plan>,
    /// The commands of the next drafts and their number, made ready while others are verified.
    ahead: Option<(u32, Encoded)>,
    /// The copy of the drafts' results that is under way, and how many are wanted.
    under_way: Option<(Readback, usize)>,
    spare: Option<Readback>,
}

/// Bytes of the results of the most drafts.
const RESULT_BYTES: u64 = KEPT as u64 * (RESULT_WORDS * 4) as u64;

/// Which of the states kept of these positions is that of the token before `position`.
fn state_before(kept: &Range<u32>, position: u32) -> Option<u32> {
    position.checked_sub(1).filter(|before| kept.contains(before)).map(|before| before - kept.start)
}

impl Drafting {
    pub async fn new(loaded: &Loaded) -> Result<Self, Error> {
        let (device, facts) = (&loaded.device, loaded.model.facts());
        let words = WordBuffers::new(device, &words::sizes(1, 0, facts.vocab)).await?;
        words.write(device, Words::Settings, bytemuck::bytes_of(&SampleSettings { greedy: 1, ..Default::default() }));
        let hidden = device.buffer(HIDDEN, u64::from(KEPT * facts.dim) * 4, Usage::Storage).await?;
        Ok(Drafting { words, hidden, kept: 0..0, plans: HashMap::new(), ahead: None, under_way: None, spare: None })
    }

    /// Keeps the states that a step of these positions leaves, before another step runs in their place.
    pub fn keep(&mut self, device: &Device, plan: &Plan, positions: Range<u32>) {
        self.kept = 0..0;
        let Some(states) = plan.output(HIDDEN).filter(|_| positions.len() <= KEPT as usize) else { return };
        let size = positions.len() as u64 * u64::from(states.cols) * 4;
        let from = Slice { size, ..states.slice.clone() };
        device.copy([(from, self.hidden.slice(0, size))]);
        self.kept = positions;
    }

    /// Whether the state is there that a draft behind the token at `position` goes on from.
    pub fn can_draft(&self, position: u32) -> bool {
        state_before(&self.kept, position).is_some()
    }

    /// Recordings that name buffers which are no more.
    pub fn clear(&mut self) {
        self.plans.clear();
        self.ahead = None;
    }

    /// Makes the next drafts ready, where there were as many before and they are not yet.
    pub fn encode_ahead(&mut self, device: &Device, drafts: u32) {
        let ready = self.ahead.as_ref().is_some_and(|ahead| ahead.0 == drafts);
        if let (false, Some(plan)) = (ready, self.plans.get(&drafts)) {
            self.ahead = Some((drafts, device.encode(&plan.recording, 0..plan.recording.len())));
        }
    }

    /// Queues the drafts of the likeliest tokens behind `id`, which stands at `position`.
    pub async fn queue(
        &mut self,
        (loaded, drafter): (&Loaded, &LoadedDrafter),
        cache: &KvCache,
        (id, position): (u32, u32),
        count: usize,
    ) -> Result<(), Error> {
        let Some(row) = state_before(&self.kept, position) else { return Ok(()) };
        let device = &loaded.device;
        let drafts = ROWS.into_iter().map(|rows| rows - 1).find(|drafts| *drafts as usize >= count).unwrap_or(KEPT - 1);
        let mut turn = loaded.turn.lock().await;
        if !self.plans.contains_key(&drafts) {
            let banned = loaded.banned().await;
            let (weights, words) = (drafter.weights(), &self.words);
            let view = View { weights, cache, words, row_places: None, attached: None, banned: &banned };
            let plan = drafter.plan(loaded, drafts, &view, &mut turn).await?;
            self.plans.insert(drafts, plan);
        }
        let plan = &self.plans[&drafts];
        if let Some(input) = plan.input(HIDDEN) {
            device.copy([(self.hidden.slice(u64::from(row) * input.size, input.size), input.clone())]);
        }
        let [step, keys] = [position, position - 1].map(|position| StepState { position, tokens: 1, ..Default::default() });
        self.words.write(device, Words::StepId, &id.to_le_bytes());
        self.words.write(device, Words::StepState, bytemuck::bytes_of(&step));
        self.words.write(device, Words::ChunkState, bytemuck::bytes_of(&keys));
        match self.ahead.take_if(|ahead| ahead.0 == drafts) {
            Some((_, encoded)) => device.submit_encoded(encoded),
            None => device.submit(&plan.recording),
        };
        let readback = match self.spare.take() {
            Some(readback) => readback,
            None => Readback::new(device, RESULT_BYTES).await?,
        };
        readback.start(device, Some((self.words.buffer(Words::Results), 0, RESULT_BYTES)));
        self.under_way = Some((readback, count));
        Ok(())
    }

    /// Puts the ids of queued drafts behind the first of `ids`, where the step that verifies them reads them.
    pub fn fill(&self, device: &Device, ids: &Buffer) {
        let count = self.under_way.as_ref().map_or(0, |(_, count)| *count);
        let results = self.words.buffer(Words::Results);
        let pair = |i: u64| (results.slice(i * (RESULT_WORDS * 4) as u64, 4), ids.slice(4 + 4 * i, 4));
        device.copy((0..count as u64).map(pair));
    }

    /// The drafts that were queued; fewer where a logit was not finite.
    pub async fn drawn(&mut self, device: &Device) -> Result<Vec<u32>, Error> {
        let Some((readback, count)) = self.under_way.take() else { return Ok(Vec::new()) };
        let drawn: Vec<u32> = bytemuck::pod_collect_to_vec(&readback.wait(device).await?);
        self.spare = Some(readback);
        let drawn = drawn.chunks(RESULT_WORDS).take(count).map(|record| SampleResult::from_record(record, 0));
        Ok(drawn.take_while(|drawn| !drawn.not_finite).map(|drawn| drawn.id).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::state_before;

    /// Of a step of four tokens from position 10 on: the more of a draft hold, the later the state.
    #[test]
    fn the_state_is_that_of_the_last_token_that_holds() {
        let state = |position| state_before(&(10..14), position);
        assert_eq!([11, 12, 13, 14].map(state), [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!([0, 10, 15].map(state), [None; 3]);
        assert_eq!(state_before(&(0..0), 0), None);
    }
}
