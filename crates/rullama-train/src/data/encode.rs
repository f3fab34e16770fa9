//! Passages to ids with a mask.

use rullama_text::chat::Passage;
use rullama_text::{Segment, Tokenizer, TokenizerError};

/// Ids and, for each, whether it is learned. Text is joined across authors before it is merged, as in inference; a
/// token that begins before the model's words and ends within them counts as the model's.
///
/// # Errors
/// [`TokenizerError::UnknownSpecial`].
pub(super) fn encode(tokenizer: &Tokenizer, passages: &[Passage]) -> Result<(Vec<u32>, Vec<bool>), TokenizerError> {
    let mut out = Encoded { tokenizer, ids: Vec::new(), learned: Vec::new() };
    for run in passages.chunk_by(|a, b| is_text(a) && is_text(b)) {
        match run {
            [mark] if !is_text(mark) => {
                let ids = tokenizer.encode_segments(std::slice::from_ref(&mark.segment))?;
                out.extend(&ids, mark.learned);
            }
            texts => out.texts(texts),
        }
    }
    let (ids, learned) = (out.ids, out.learned);
    let begins = ids.iter().take_while(|&&id| id == tokenizer.bos()).count();
    Ok(([&[tokenizer.bos()], &ids[begins..]].concat(), [&[false], &learned[begins..]].concat()))
}

fn is_text(passage: &Passage) -> bool {
    matches!(passage.segment, Segment::Text(_))
}

struct Encoded<'a> {
    tokenizer: &'a Tokenizer,
    ids: Vec<u32>,
    learned: Vec<bool>,
}

impl Encoded<'_> {
    fn extend(&mut self, ids: &[u32], learned: bool) {
        self.ids.extend(ids);
        self.learned.resize(self.ids.len(), learned);
    }

    /// Texts that follow each other without a mark between them.
    fn texts(&mut self, passages: &[Passage]) {
        let mut text: String = passages.iter().map(|passage| passage.segment.as_str()).collect();
        let ids = self.tokenizer.encode_plain(&text);
        // From the last author to the first: how many tokens stand before each.
        let mut starts = Vec::new();
        for passage in passages.iter().rev() {
            text.truncate(text.len() - passage.segment.as_str().len());
            let before = self.tokenizer.encode_plain(&text);
            starts.push(before.iter().zip(&ids).take_while(|(a, b)| a == b).count());
        }
        let ends = starts.iter().rev().skip(1).copied().chain([ids.len()]);
        let mut from = 0;
        for (passage, end) in passages.iter().zip(ends) {
            let end = end.max(from);
            self.extend(&ids[from..end], passage.learned);
            from = end;
        }
    }
}
