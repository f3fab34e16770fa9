use crate::chat::MediaPart;
use std::borrow::Cow;

/// A part of a prompt, marked with who may write special tokens in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// One special token, by its spelling in the vocabulary.
    Special(Cow<'static, str>),
    /// Plain text: whatever it spells stays characters.
    Text(String),
    /// Text of a trusted author, in which special tokens are recognised.
    Template(String),
    /// A picture or a sound: so many placeholders between the marks of its kind; one alone where nobody said how many.
    Media { part: MediaPart, tokens: Option<usize> },
}

impl Segment {
    /// A special token.
    pub const fn special(piece: &'static str) -> Segment {
        Segment::Special(Cow::Borrowed(piece))
    }

    /// The text that a person would see.
    pub fn as_str(&self) -> &str {
        match self {
            Segment::Special(piece) => piece,
            Segment::Text(text) | Segment::Template(text) => text,
            // A video is one.
            Segment::Media { part, .. } if part.frame.is_some_and(|frame| frame.number > 0) => "",
            Segment::Media { part, .. } => part.kind.placeholder(),
        }
    }
}

/// The prompt as one text. It no longer tells special tokens from characters: for reading only.
pub fn segments_to_text(segments: &[Segment]) -> String {
    segments.iter().map(Segment::as_str).collect()
}
