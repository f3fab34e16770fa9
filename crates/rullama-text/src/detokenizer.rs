use crate::stop::{StopStep, StopStrings};
use crate::tokenizer::{Specials, Tokenizer};

/// Bytes to text as they come, never splitting a UTF-8 character.
///
/// The pieces of text together equal `String::from_utf8_lossy` of all bytes: up to three bytes of
/// an unfinished character wait for their rest, bytes that can no longer become a character give
/// U+FFFD.
#[derive(Debug, Clone, Default)]
pub struct Utf8Stream {
    pending: Vec<u8>,
}

impl Utf8Stream {
    /// The text that `bytes` complete.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        self.complete()
    }

    fn complete(&mut self) -> String {
        let mut text = String::new();
        let mut left = self.pending.len();
        let mut unfinished = Vec::new();
        for chunk in self.pending.utf8_chunks() {
            let (valid, invalid) = (chunk.valid(), chunk.invalid());
            text.push_str(valid);
            left -= valid.len() + invalid.len();
            let may_go_on = left == 0 && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if may_go_on {
                unfinished.extend_from_slice(invalid);
            } else if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.pending = unfinished;
        text
    }

    /// What is left at the end of the stream: an unfinished character gives U+FFFD.
    pub fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        text
    }
}

/// Token ids to text as they come, as [`Utf8Stream`] gives it.
#[derive(Debug, Clone, Default)]
pub struct Detokenizer {
    specials: Specials,
    stream: Utf8Stream,
}

impl Detokenizer {
    pub fn new(specials: Specials) -> Self {
        Detokenizer { specials, stream: Utf8Stream::default() }
    }

    /// The text that `id` completes; often empty within a character spelt in bytes.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> String {
        tokenizer.append_bytes(id, self.specials, &mut self.stream.pending);
        self.stream.complete()
    }

    /// What is left at the end of the stream: an unfinished character gives U+FFFD.
    pub fn finish(&mut self) -> String {
        self.stream.finish()
    }
}

/// An answer's ids to its text up to a stop string, which remembers what special tokens spell.
#[derive(Debug, Clone, Default)]
pub struct AnswerText {
    detokenizer: Detokenizer,
    stops: StopStrings,
    markers: bool,
}

impl AnswerText {
    pub fn new(specials: Specials, stops: StopStrings) -> Self {
        AnswerText { detokenizer: Detokenizer::new(specials), stops, markers: specials == Specials::Markers }
    }

    /// The text that has become certain with `id`.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> StopStep {
        if !self.markers || !tokenizer.is_marker(id) {
            return self.stops.push(&self.detokenizer.push(tokenizer, id));
        }
        let mut step = self.stops.push(&self.detokenizer.finish());
        step.append(self.stops.push_mark(&self.detokenizer.push(tokenizer, id)));
        step
    }

    /// What was held back for a stop string or an unfinished character; the stream has ended.
    pub fn finish(&mut self) -> StopStep {
        let mut step = self.stops.push(&self.detokenizer.finish());
        step.append(self.stops.finish());
        step
    }
}
