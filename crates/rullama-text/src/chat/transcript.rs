//! A conversation as training sees it: what the model wrote of it, and what it was given.

use super::render::{Conversation, Place, Prompt};
use crate::segment::Segment;
use std::ops::Range;

/// A part of a conversation with one author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    pub segment: Segment,
    /// Whether the model writes it and is to learn it.
    pub learned: bool,
}

/// The conversation in the template's form, as [`render`](super::render) has it but without an opening for further
/// words. Passages are what `learn` says of the model's messages, by their number: from behind `<|turn>model NL` to
/// the end mark `<turn|>`, its thoughts and calls included, and the `<|tool_response>` by which it hands over; not a
/// tool's result, nor the empty thought that opens a large model's last answer.
pub fn transcript(conversation: &Conversation<'_>, learn: &dyn Fn(usize) -> bool) -> Vec<Passage> {
    let mut prompt = Prompt::default();
    let mut ranges: Vec<Range<Place>> = Vec::new();
    prompt.messages(conversation, true, &mut |message, range| {
        if learn(message) && !range.is_empty() {
            ranges.push(range);
        }
    });
    let mut ranges = ranges.into_iter().peekable();
    let mut passages = Vec::new();
    for (i, segment) in prompt.finish().into_iter().enumerate() {
        let end = Place { segment: i + 1, byte: 0 };
        let mut at = Place { segment: i, byte: 0 };
        while at < end {
            while ranges.next_if(|range| range.end <= at).is_some() {}
            let (to, learned) = match ranges.peek() {
                Some(range) if range.start <= at => (range.end.min(end), true),
                Some(range) => (range.start.min(end), false),
                None => (end, false),
            };
            passages.extend(part(&segment, at, to, end).map(|segment| Passage { segment, learned }));
            at = to;
        }
    }
    passages
}

/// The segment from one place to another, if there is anything between them.
fn part(segment: &Segment, from: Place, to: Place, end: Place) -> Option<Segment> {
    match segment {
        Segment::Text(text) => {
            let part = &text[from.byte..if to == end { text.len() } else { to.byte }];
            (!part.is_empty()).then(|| Segment::Text(part.to_owned()))
        }
        whole => (from.byte == 0).then(|| whole.clone()),
    }
}
