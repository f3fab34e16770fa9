//! The text of one tool call as it comes, and where it ends.

use super::notation::{self, Reading};
use super::{CLOSE_CALL, CLOSE_CHANNEL, CLOSE_RESPONSE, OPEN_CALL, OPEN_CHANNEL, OPEN_RESPONSE, QUOTE};
use crate::chat::{FunctionCall, Tool};

/// What came between `<|tool_call>` and the end of the call.
///
/// A mark within a string belongs to the string. Since the string may also lack its end, the first
/// `<tool_call|>` that was passed over is remembered: if the whole cannot be read, the call ended there.
#[derive(Debug, Clone, Default)]
pub(super) struct CallText {
    text: String,
    /// Where the special tokens that delimit strings stand in `text`.
    quotes: Vec<usize>,
    /// Bytes of `text` in which spelt delimiters were counted.
    counted: usize,
    /// Delimiters in them.
    spelt: usize,
    /// A mark stands in a string.
    swallowed: bool,
    passed: Option<Passed>,
}

/// A mark that ends calls, passed over within a string.
#[derive(Debug, Clone)]
struct Passed {
    /// Length of the text before it, and delimiters in that.
    text: usize,
    quotes: usize,
    /// Text behind it.
    behind: String,
}

/// A call that has ended.
pub(super) struct Ended {
    /// The call, or the text that cannot be read as one.
    pub call: Result<FunctionCall, String>,
    /// What turned out to stand behind the call.
    pub behind: String,
}

impl CallText {
    pub fn push_text(&mut self, text: &str) {
        self.text.push_str(text);
        if let Some(passed) = &mut self.passed {
            passed.behind.push_str(text);
        }
    }

    pub fn into_text(self) -> String {
        self.text
    }

    /// Adds a special token; whether the call ends at it.
    pub fn ends_at(&mut self, mark: &str) -> bool {
        if mark == QUOTE {
            self.quotes.push(self.text.len());
            self.text.push_str(QUOTE);
            return false;
        }
        let ends = [CLOSE_CALL, OPEN_CALL, OPEN_RESPONSE, OPEN_CHANNEL].contains(&mark);
        if !ends && mark != CLOSE_CHANNEL && mark != CLOSE_RESPONSE {
            return false;
        }
        // A new call or response behind a passed end shows that it was the end.
        if !self.in_string() || (mark != CLOSE_CALL && ends && self.passed.is_some()) {
            return ends;
        }
        if mark == CLOSE_CALL && self.passed.is_none() {
            self.passed = Some(Passed { text: self.text.len(), quotes: self.quotes.len(), behind: String::new() });
        }
        self.swallowed = true;
        self.text.push_str(mark);
        false
    }

    /// Whether a string is open. Where special tokens delimit strings, spelt delimiters are text.
    fn in_string(&mut self) -> bool {
        if !self.quotes.is_empty() {
            return self.quotes.len() % 2 == 1;
        }
        while let Some(at) = self.text[self.counted..].find(QUOTE) {
            self.counted += at + QUOTE.len();
            self.spelt += 1;
        }
        let may_begin = self.text.floor_char_boundary(self.text.len().saturating_sub(QUOTE.len() - 1));
        self.counted = self.counted.max(may_begin);
        self.spelt % 2 == 1
    }

    /// Reads the call. What misses its end is completed, unless a mark stands in a string that has none.
    pub fn read(mut self, tools: &[Tool]) -> Ended {
        let whole = notation::read(&self.text, &self.quotes, tools);
        if let Some(Reading { call, completed }) = whole
            && !(completed && self.swallowed)
        {
            return Ended { call: Ok(call), behind: String::new() };
        }
        let Some(passed) = self.passed else {
            return Ended { call: Err(self.text), behind: String::new() };
        };
        self.text.truncate(passed.text);
        self.quotes.truncate(passed.quotes);
        let first = notation::read(&self.text, &self.quotes, tools);
        Ended { call: first.map(|reading| reading.call).ok_or(self.text), behind: passed.behind }
    }
}
