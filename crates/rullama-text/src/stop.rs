use std::ops::Range;

/// Finds stop strings in streaming text, holding back what may become one.
///
/// The match that is complete first wins (of those ending at the same byte, the one that starts
/// first), so the result does not depend on how the stream is cut.
///
/// ```
/// use rullama_text::StopStrings;
///
/// let mut stop = StopStrings::new(["END"]);
/// assert_eq!(stop.push("some E").text, "some ");
/// let step = stop.push("ND and more");
/// assert_eq!((step.text.as_str(), step.stop.map(|s| s.start)), ("", Some(5)));
/// ```
#[derive(Debug, Clone, Default)]
pub struct StopStrings {
    stops: Vec<String>,
    /// Text not yet given out: the beginning of some stop string, or of the mark that it begins in.
    held: String,
    /// What special tokens spell in `held`.
    marks: Vec<Range<usize>>,
    /// Bytes given out before `held`.
    emitted: usize,
    stopped: bool,
}

/// Where a stop string was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopMatch {
    /// Which of the stop strings, in the order given to [`StopStrings::new`].
    pub index: usize,
    /// Byte at which it starts, counted from the start of the stream: the text is cut here, or
    /// before the special token in which it starts.
    pub start: usize,
    /// Byte after its last.
    pub end: usize,
}

/// What one push gives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StopStep {
    /// Text that is now certain to stand before any stop string.
    pub text: String,
    /// The bytes of `text` that special tokens spell; never a part of one.
    pub marks: Vec<Range<usize>>,
    /// The match, after which every push gives nothing.
    pub stop: Option<StopMatch>,
}

impl StopStep {
    /// Adds what came next.
    pub(crate) fn append(&mut self, next: StopStep) {
        let shift = self.text.len();
        self.text.push_str(&next.text);
        self.marks.extend(next.marks.into_iter().map(|mark| mark.start + shift..mark.end + shift));
        self.stop = self.stop.or(next.stop);
    }
}

impl StopStrings {
    /// Empty stop strings are ignored, but count in [`StopMatch::index`].
    pub fn new<S: Into<String>>(stops: impl IntoIterator<Item = S>) -> Self {
        StopStrings { stops: stops.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Adds text to the stream.
    pub fn push(&mut self, text: &str) -> StopStep {
        if self.stopped {
            return StopStep::default();
        }
        let seen = self.held.len();
        self.held.push_str(text);
        if let Some((index, start, end)) = self.first_match(seen) {
            self.stopped = true;
            let stop = StopMatch { index, start: self.emitted + start, end: self.emitted + end };
            let step = self.take(start);
            self.held.clear();
            self.marks.clear();
            return StopStep { stop: Some(stop), ..step };
        }
        let keep = self.longest_prefix_at_end();
        self.take(self.held.len() - keep)
    }

    /// Adds what a special token spells; stop strings may match in it as in any text.
    pub fn push_mark(&mut self, piece: &str) -> StopStep {
        if !self.stopped {
            self.marks.push(self.held.len()..self.held.len() + piece.len());
        }
        self.push(piece)
    }

    /// Gives out what was held back; the stream has ended.
    pub fn finish(&mut self) -> StopStep {
        self.stopped = true;
        self.take(self.held.len())
    }

    /// The first match that ends after byte `seen` of the held text: index, start, end.
    fn first_match(&self, seen: usize) -> Option<(usize, usize, usize)> {
        let found = |(index, stop): (usize, &String)| {
            if stop.is_empty() {
                return None;
            }
            // A match that ends at or before `seen` would have been found earlier.
            let from = self.held.floor_char_boundary((seen + 1).saturating_sub(stop.len()));
            let start = from + self.held[from..].find(stop.as_str())?;
            Some((index, start, start + stop.len()))
        };
        let matches = self.stops.iter().enumerate().filter_map(found);
        matches.min_by_key(|&(_, start, end)| (end, start))
    }

    /// Length of the longest end of the held text with which a stop string begins.
    fn longest_prefix_at_end(&self) -> usize {
        let overlap = |stop: &String| {
            let longest = stop.len().saturating_sub(1).min(self.held.len());
            let ends = (1..=longest).rev().filter(|&n| stop.is_char_boundary(n));
            ends.into_iter().find(|&n| self.held.ends_with(&stop[..n])).unwrap_or(0)
        };
        self.stops.iter().map(overlap).max().unwrap_or(0)
    }

    /// Gives out `bytes` of the held text, or fewer where that would tear a mark.
    fn take(&mut self, bytes: usize) -> StopStep {
        let torn = self.marks.iter().find(|mark| mark.start < bytes && bytes < mark.end);
        let bytes = torn.map_or(bytes, |mark| mark.start);
        let rest = self.held.split_off(bytes);
        let text = std::mem::replace(&mut self.held, rest);
        let kept = self.marks.split_off(self.marks.partition_point(|mark| mark.end <= bytes));
        let marks = std::mem::replace(&mut self.marks, kept);
        self.marks.iter_mut().for_each(|mark| *mark = mark.start - bytes..mark.end - bytes);
        self.emitted += text.len();
        StopStep { text, marks, stop: None }
    }
}
