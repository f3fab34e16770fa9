//! Prompts with pictures and sounds: ids, and the rows that stand in the place of placeholders.

use crate::media::SoftTokens;
use crate::sequence::Item;
use crate::{Engine, Error};
use rullama_model::pace::MAX_BLOCK;
use rullama_model::tower::Sense;
use std::ops::Range;
use std::sync::Arc;

/// Tokens that soft ones stand in the place of, and what they perceive.
const PLACEHOLDERS: [(&str, Sense); 3] = [("<|image|>", Sense::Vision), ("<|video|>", Sense::Vision), ("<|audio|>", Sense::Hearing)];

/// Soft tokens, and where they begin.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub start: usize,
    pub soft: Arc<SoftTokens>,
}

impl Span {
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.soft.rows()
    }

    /// The part of it that stands before `end`.
    pub fn before(&self, end: usize) -> Option<Span> {
        let rows = end.saturating_sub(self.start).min(self.soft.rows());
        let soft = if rows == self.soft.rows() { self.soft.clone() } else { Arc::new(self.soft.first(rows)) };
        (rows > 0).then_some(Span { start: self.start, soft })
    }
}

/// Ids of a prompt, of which some are placeholders of soft tokens.
#[derive(Debug, Clone, Default)]
pub struct Prompt {
    ids: Vec<u32>,
    /// In order, apart from each other.
    spans: Vec<Span>,
}

impl From<Vec<u32>> for Prompt {
    fn from(ids: Vec<u32>) -> Self {
        Prompt { ids, spans: Vec::new() }
    }
}

impl From<&[u32]> for Prompt {
    fn from(ids: &[u32]) -> Self {
        ids.to_vec().into()
    }
}

/// What placeholder a token is, if it is one.
fn placeholders(engine: &Engine) -> Vec<(u32, Sense)> {
    PLACEHOLDERS.iter().filter_map(|(piece, sense)| Some((engine.tokenizer().find(piece)?, *sense))).collect()
}

/// Runs of equal placeholders in ids: what they stand for, and how many they are.
pub fn placeholder_runs(engine: &Engine, ids: &[u32]) -> Vec<(Sense, usize)> {
    let known = placeholders(engine);
    let runs = ids.chunk_by(|a, b| a == b);
    runs.filter_map(|run| Some((known.iter().find(|known| known.0 == run[0])?.1, run.len()))).collect()
}

fn refused(value: impl ToString, reason: impl Into<String>) -> Error {
    Error::InvalidArgument { name: "prompt", value: value.to_string(), reason: reason.into() }
}

impl Prompt {
    /// A prompt in which each medium stands in the place of as many placeholders of its sense as it has rows, in order.
    ///
    /// # Errors
    /// More or fewer placeholders than rows, by the first that does not fit.
    pub fn new(engine: &Engine, ids: Vec<u32>, media: &[Arc<SoftTokens>]) -> Result<Prompt, Error> {
        let placeholders = placeholders(engine);
        let sense_of = |id: u32| placeholders.iter().find(|known| known.0 == id).map(|known| known.1);
        let mut waiting: Vec<&Arc<SoftTokens>> = media.iter().collect();
        let (mut spans, mut at) = (Vec::new(), 0);
        while at < ids.len() && !media.is_empty() {
            let Some(sense) = sense_of(ids[at]) else {
                at += 1;
                continue;
            };
            let Some(next) = waiting.iter().position(|soft| soft.sense == sense) else {
                return Err(refused(format!("a placeholder at {at}"), "stands for nothing: give a medium for it, or leave it out"));
            };
            let soft = waiting.remove(next).clone();
            let rows = soft.rows();
            let found = ids[at..].iter().take(rows).take_while(|id| **id == ids[at]).count();
            if found < rows {
                let reason = format!("are fewer than the {rows} soft tokens of the medium there: give as many");
                return Err(refused(format!("{found} placeholders at {at}"), reason));
            }
            spans.push(Span { start: at, soft });
            at += rows;
        }
        match waiting.first() {
            Some(soft) => Err(refused("without placeholders", format!("has no place for {} soft tokens of a medium", soft.rows()))),
            None => Ok(Prompt { ids, spans }),
        }
    }

    pub(crate) fn of_parts(ids: Vec<u32>, spans: Vec<Span>) -> Prompt {
        Prompt { ids, spans }
    }

    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// What stands at each position.
    pub(crate) fn items(&self) -> Vec<Item> {
        let mut items: Vec<Item> = self.ids.iter().copied().map(Item::token).collect();
        for span in &self.spans {
            for (row, item) in items[span.range()].iter_mut().enumerate() {
                item.content = span.soft.content(row);
            }
        }
        items
    }

    /// Runs of soft tokens of pictures, with none between.
    fn blocks(&self) -> Vec<Range<usize>> {
        let mut blocks: Vec<Range<usize>> = Vec::new();
        for span in self.spans.iter().filter(|span| span.soft.sense == Sense::Vision) {
            match blocks.last_mut() {
                Some(last) if last.end == span.start => last.end = span.range().end,
                _ => blocks.push(span.range()),
            }
        }
        blocks
    }

    /// The nearest place from `at` back that no block is cut at.
    pub(crate) fn outside_blocks(&self, at: usize) -> usize {
        self.blocks().iter().find(|block| block.start < at && at < block.end).map_or(at, |block| block.start)
    }

    /// The end of a step from `at` on of about `most` tokens, which cuts no block where `whole` are wanted.
    ///
    /// # Errors
    /// A block longer than a step can be.
    pub(crate) fn step_end(&self, at: usize, most: usize, whole: bool) -> Result<usize, Error> {
        let end = self.ids.len().min(at + most.max(1));
        let Some(block) = self.blocks().into_iter().filter(|_| whole).find(|block| block.start < end && end < block.end) else {
            return Ok(end);
        };
        if block.start > at {
            return Ok(block.start);
        }
        if block.end - at > MAX_BLOCK as usize {
            let reason =
                format!("are more than the {MAX_BLOCK} that this model can see at once. Choose a smaller budget, or put words between");
            return Err(refused(format!("{} soft tokens in a row", block.len()), reason));
        }
        Ok(block.end)
    }

    /// The step of these positions; `blocks`: soft tokens of pictures see each other.
    pub(crate) fn step(&self, range: Range<usize>, blocks: bool) -> PromptStep {
        let mut step = PromptStep { ids: self.ids[range.clone()].to_vec(), soft: None };
        let near = |of: &Range<usize>| of.start < range.end && range.start < of.end;
        let mut soft = SoftRows { rows: Vec::new(), places: vec![u32::MAX; range.len()], ends: Vec::new() };
        let mut count = 0;
        for span in self.spans.iter().filter(|span| near(&span.range())) {
            let dim = span.soft.dim as usize;
            for at in span.range().start.max(range.start)..span.range().end.min(range.end) {
                let row = at - span.start;
                soft.rows.extend_from_slice(&span.soft.values[row * dim..(row + 1) * dim]);
                soft.places[at - range.start] = count;
                // Per-layer embeddings of soft tokens are those of the padding token.
                step.ids[at - range.start] = 0;
                count += 1;
            }
        }
        if count == 0 {
            return step;
        }
        soft.ends = range.clone().map(|at| at as u32 + 1).collect();
        for block in self.blocks().into_iter().filter(|block| blocks && near(block)) {
            let end = block.end.min(range.end);
            (block.start.max(range.start)..end).for_each(|at| soft.ends[at - range.start] = end as u32);
        }
        step.soft = Some(soft);
        step
    }
}

/// What a step of a prompt reads.
pub(crate) struct PromptStep {
    /// Those of soft tokens are 0.
    pub ids: Vec<u32>,
    pub soft: Option<SoftRows>,
}

impl PromptStep {
    pub fn of_tokens(ids: Vec<u32>) -> Self {
        PromptStep { ids, soft: None }
    }
}

/// Soft tokens of a step.
pub(crate) struct SoftRows {
    /// `[count, dim]`
    pub rows: Vec<f32>,
    /// For each token its row, or [`u32::MAX`].
    pub places: Vec<u32>,
    /// For each token the position behind the last key that it sees.
    pub ends: Vec<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soft(sense: Sense, rows: usize) -> Arc<SoftTokens> {
        Arc::new(SoftTokens::new(sense, 2, (0..rows * 2).map(|value| value as f32).collect()).unwrap())
    }

    /// Tokens 0 .. 3, a picture at 3 .. 7 and another right behind it, a sound at 12 .. 14, 20 in all.
    fn prompt() -> Prompt {
        let span = |start, sense, rows| Span { start, soft: soft(sense, rows) };
        Prompt::of_parts((0..20).collect(), vec![span(3, Sense::Vision, 4), span(7, Sense::Vision, 3), span(12, Sense::Hearing, 2)])
    }

    #[test]
    fn steps_end_outside_of_blocks() {
        let prompt = prompt();
        let ends = |at, most| prompt.step_end(at, most, true).unwrap();
        assert_eq!([ends(0, 3), ends(0, 5), ends(0, 9), ends(0, 10), ends(3, 2), ends(10, 3), ends(0, 99)], [3, 3, 3, 10, 10, 13, 20]);
        assert_eq!(prompt.step_end(0, 5, false).unwrap(), 5);
        assert_eq!([2, 3, 4, 9, 10, 13].map(|at| prompt.outside_blocks(at)), [2, 3, 3, 3, 10, 13]);
        // A chunk that the pace made short cuts none either.
        let picture = |rows| Prompt::of_parts(vec![0; rows + 9], vec![Span { start: 5, soft: soft(Sense::Vision, rows) }]);
        let large = picture(1120);
        assert_eq!([(0, 512), (5, 16), (1125, 16)].map(|(at, most)| large.step_end(at, most, true).unwrap()), [5, 1125, 1129]);
        let long = picture(MAX_BLOCK as usize + 1);
        assert!(long.step_end(5, 512, true).is_err() && long.step_end(5, 512, false).is_ok());
    }

    #[test]
    fn a_step_has_the_rows_of_its_part() {
        let step = prompt().step(5..13, true);
        let soft = step.soft.unwrap();
        assert_eq!(step.ids, [0, 0, 0, 0, 0, 10, 11, 0]);
        assert_eq!(soft.places, [0, 1, 2, 3, 4, u32::MAX, u32::MAX, 5]);
        assert_eq!(soft.rows, [4.0, 5.0, 6.0, 7.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 1.0]);
        assert_eq!(soft.ends, [10, 10, 10, 10, 10, 11, 12, 13]);
        assert!(prompt().step(0..3, true).soft.is_none());
        assert_eq!(prompt().step(2..9, false).soft.unwrap().ends, [3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn items_tell_media_and_their_rows_apart() {
        let items = prompt().items();
        assert_eq!((items[2].content, items[10].content), (0, 0));
        assert!(items[3].content != 0 && items[3].content != items[4].content && items[3].content != items[7].content);
    }
}
