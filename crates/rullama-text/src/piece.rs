use std::ops::Range;

/// A part of a model's output: what ordinary tokens spell, or one special token.
///
/// The difference is lost in plain text: a model that writes *about* `<|tool_call>` spells it in
/// ordinary tokens, one that calls a tool gives the special token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text: whatever it spells stays characters.
    Text(&'a str),
    /// One special token, by its spelling in the vocabulary.
    Special(&'a str),
}

/// `text` as pieces; `marks` are the byte ranges that special tokens spell, in order.
pub fn pieces<'a>(text: &'a str, marks: &'a [Range<usize>]) -> impl Iterator<Item = Piece<'a>> {
    let ends = marks.iter().map(|mark| mark.start).chain([text.len()]);
    let starts = [0].into_iter().chain(marks.iter().map(|mark| mark.end));
    let specials = marks.iter().map(|mark| Some(Piece::Special(&text[mark.clone()]))).chain([None]);
    let parts = starts.zip(ends).zip(specials).flat_map(|((start, end), special)| [Some(Piece::Text(&text[start..end])), special]);
    parts.flatten().filter(|piece| *piece != Piece::Text(""))
}
