//! Pictures, sounds and videos in messages.

use crate::segment::Segment;
use std::sync::Arc;

/// What a part of a message shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    Image,
    Audio,
    Video,
}

impl MediaKind {
    /// The token that stands for a soft one, and those around them.
    pub(crate) fn pieces(self) -> [&'static str; 3] {
        match self {
            MediaKind::Image => ["<|image>", "<|image|>", "<image|>"],
            MediaKind::Audio => ["<|audio>", "<|audio|>", "<audio|>"],
            // A frame is a picture.
            MediaKind::Video => ["<|image>", "<|video|>", "<image|>"],
        }
    }

    pub fn placeholder(self) -> &'static str {
        self.pieces()[1]
    }
}

/// Which picture of a video, and when it is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Of those that are seen, from 0.
    pub number: u32,
    /// Whole seconds since the video's beginning.
    pub seconds: u64,
}

impl Frame {
    /// What the model reads before the picture: `mm:ss`, apart from the frame before it. Source: transformers,
    /// `processing_gemma4.py`.
    pub(crate) fn text(self) -> String {
        let apart = if self.number == 0 { "" } else { " " };
        format!("{apart}{:02}:{:02} ", self.seconds / 60, self.seconds % 60)
    }
}

/// A picture or a sound in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaPart {
    pub kind: MediaKind,
    /// Where it comes from: base64, a data URL, or a name that whoever shows it knows.
    pub source: Arc<str>,
    /// Width and height, where the message says them in place of pixels.
    pub size: Option<(u32, u32)>,
    /// Samples at 16 kHz, where the message says them in place of sound.
    pub samples: Option<u32>,
    /// Of a video, which is shown picture by picture.
    pub frame: Option<Frame>,
}

impl MediaPart {
    pub fn new(kind: MediaKind, source: impl Into<Arc<str>>) -> Self {
        MediaPart { kind, source: source.into(), size: None, samples: None, frame: None }
    }
}

/// A part of a message's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The template trims it.
    Text(String),
    /// Text that keeps its spaces, between pictures that its author placed in it.
    Exact(String),
    Media(MediaPart),
}

impl Part {
    pub fn text(&self) -> Option<&str> {
        match self {
            Part::Text(text) | Part::Exact(text) => Some(text),
            Part::Media(_) => None,
        }
    }

    pub fn media(&self) -> Option<&MediaPart> {
        match self {
            Part::Media(media) => Some(media),
            _ => None,
        }
    }
}

/// The media of a prompt, in its order.
pub fn media(segments: &[Segment]) -> impl Iterator<Item = &MediaPart> {
    segments.iter().filter_map(|segment| match segment {
        Segment::Media { part, .. } => Some(part),
        _ => None,
    })
}

/// Says how many soft tokens each medium of a prompt has; `None` leaves one placeholder.
pub fn expand(segments: &mut [Segment], mut soft_tokens: impl FnMut(&MediaPart) -> Option<usize>) {
    for segment in segments {
        if let Segment::Media { part, tokens } = segment {
            *tokens = soft_tokens(part);
        }
    }
}

/// The parts of a text with pictures beside it: the picture N stands where the text has `[img-N]`, the others in turn where it has
/// `[img]`, and what is left before the text. Source: Ollama, `model/renderers/image_tags.go`.
pub(super) fn placed(content: &str, images: Vec<MediaPart>) -> Vec<Part> {
    let explicit = |n: usize| content.contains(&format!("[img-{n}]"));
    let mut waiting: std::collections::VecDeque<usize> = (0..images.len()).filter(|n| !explicit(*n)).collect();
    let (mut parts, mut text, mut rest) = (Vec::new(), String::new(), content);
    while let Some(at) = rest.find("[img") {
        let tag = &rest[at..];
        let end = tag.find(']').map(|end| end + 1);
        let inside = end.map(|end| &tag[4..end - 1]);
        let number = inside.and_then(|inside| match inside {
            "" => waiting.pop_front(),
            numbered => numbered.strip_prefix('-')?.parse().ok().filter(|n| *n < images.len()),
        });
        let taken = if number.is_some() { end.unwrap_or(4) } else { 4 };
        text.push_str(&rest[..at]);
        match number {
            Some(number) => {
                parts.push(Part::Exact(std::mem::take(&mut text)));
                parts.push(Part::Media(images[number].clone()));
            }
            None => text.push_str(&tag[..taken]),
        }
        rest = &tag[taken..];
    }
    text.push_str(rest);
    parts.push(Part::Exact(text));
    let before = waiting.into_iter().map(|number| Part::Media(images[number].clone()));
    let mut all: Vec<Part> = before.collect();
    let begins = parts.first().and_then(Part::text).is_some_and(|text| text.starts_with(char::is_whitespace));
    let says = parts.len() > 1 || parts.first().and_then(Part::text).is_some_and(|text| !text.is_empty());
    if !all.is_empty() && says && !begins {
        all.push(Part::Exact(" ".to_owned()));
    }
    all.extend(parts);
    trimmed(all)
}

/// The whole trimmed, as the template trims a text.
fn trimmed(mut parts: Vec<Part>) -> Vec<Part> {
    if let Some(Part::Exact(first)) = parts.first_mut() {
        *first = first.trim_start().to_owned();
    }
    if let Some(Part::Exact(last)) = parts.last_mut() {
        last.truncate(last.trim_end().len());
    }
    parts.retain(|part| part.text().is_none_or(|text| !text.is_empty()));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(parts: &[Part]) -> String {
        let show = |part: &Part| part.text().map_or_else(|| format!("[img-{}]", part.media().unwrap().source), str::to_owned);
        parts.iter().map(show).collect()
    }

    #[test]
    fn times_are_minutes_and_seconds() {
        let texts = [(0, 0), (1, 59), (2, 60), (31, 3725)].map(|(number, seconds)| Frame { number, seconds }.text());
        assert_eq!(texts, ["00:00 ", " 00:59 ", " 01:00 ", " 62:05 "]);
    }

    #[test]
    fn pictures_stand_where_tags_are() {
        let cases = [
            ("describe this image", 2, "[img-0][img-1] describe this image"),
            ("compare [img] and [img]", 2, "compare [img-0] and [img-1]"),
            ("compare [img]", 2, "[img-1] compare [img-0]"),
            ("compare [img] and [img]", 1, "compare [img-0] and [img]"),
            ("compare [img-0] and [img-1]", 2, "compare [img-0] and [img-1]"),
            ("\nleading newline", 1, "[img-0]\nleading newline"),
            ("", 2, "[img-0][img-1]"),
            ("[img-7] [img-] [img and [img] ", 1, "[img-7] [img-] [img and [img-0]"),
        ];
        for (content, count, want) in cases {
            let images = (0..count).map(|n| MediaPart::new(MediaKind::Image, n.to_string())).collect();
            assert_eq!(shown(&placed(content, images)), want, "{content}");
        }
    }
}
