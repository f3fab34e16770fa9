//! An answer on standard output, as it comes.

use crate::terminal;
use anyhow::Result;
use rullama::{Cancel, Event, Summary};
use serde::Serialize;
use std::io::{self, Write};

const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Prints parts of an answer. An output that ends stops the answer too; [`Output::finish`] tells.
pub struct Output {
    out: terminal::Output,
    /// Thoughts are printed dim between the text; without colours they go to standard error.
    colours: bool,
    thinking: bool,
    /// Something of the answer was shown.
    said: bool,
    /// The last text ended without a newline.
    open_line: bool,
    lines_of_json: bool,
    error: Option<io::Error>,
}

impl Output {
    pub fn new() -> Self {
        Output {
            out: terminal::stdout(),
            colours: terminal::colours(),
            thinking: false,
            said: false,
            open_line: false,
            lines_of_json: false,
            error: None,
        }
    }

    fn put(&mut self, text: &str, cancel: &Cancel) {
        self.with(cancel, |out| out.write_all(text.as_bytes()));
    }

    /// A colour.
    fn style(&mut self, sequence: &str, cancel: &Cancel) {
        self.with(cancel, |out| out.sequence(sequence));
    }

    fn with(&mut self, cancel: &Cancel, write: impl Fn(&mut terminal::Output) -> io::Result<()>) {
        if self.error.is_none()
            && let Err(error) = write(&mut self.out).and_then(|()| self.out.flush())
        {
            self.error = Some(error);
            cancel.cancel();
        }
    }

    /// Plain text of an answer.
    pub fn text(&mut self, text: &str, cancel: &Cancel) {
        if !text.is_empty() {
            self.open_line = !text.ends_with('\n');
            self.put(text, cancel);
        }
    }

    /// A part of a parsed answer.
    pub fn event(&mut self, event: &Event, cancel: &Cancel) {
        let is_thought = matches!(event, Event::Thinking(_));
        self.said |= !matches!(event, Event::Content(text) if text.trim().is_empty());
        if self.thinking && !is_thought {
            self.end_thought(cancel);
        }
        match event {
            Event::Content(text) => self.text(text, cancel),
            Event::Thinking(text) => {
                if self.colours && !self.thinking {
                    self.style(DIM, cancel);
                }
                self.thinking = true;
                if self.colours { self.text(text, cancel) } else { terminal::tell(text) }
            }
            Event::ToolCall(call) => {
                let call = serde_json::to_string(call).unwrap_or_default();
                self.text(&format!("{call}\n"), cancel);
            }
            Event::UnreadableCall(text) => {
                let begun = if self.open_line { "\n" } else { "" };
                self.text(&format!("{begun}unreadable tool call: {text}\n"), cancel);
            }
        }
    }

    /// Tells why nothing was shown of a parsed answer that has text: thoughts are dropped unless they are asked for.
    pub fn note_silence(&self, summary: &Summary) {
        if !self.said && !summary.text.trim().is_empty() {
            terminal::tell("note: the answer is empty: the model only thought; --think shows its thoughts\n");
        }
    }

    fn end_thought(&mut self, cancel: &Cancel) {
        self.thinking = false;
        if self.colours {
            self.style(PLAIN, cancel);
            self.text("\n\n", cancel);
        } else {
            terminal::tell("\n");
        }
    }

    /// A line of JSON.
    pub fn json(&mut self, record: &impl Serialize, cancel: &Cancel) {
        self.lines_of_json = true;
        // Records of numbers and texts always have a JSON form.
        let mut line = serde_json::to_string(record).unwrap_or_default();
        line.push('\n');
        self.put(&line, cancel);
    }

    /// Ends the last line where a person reads.
    ///
    /// # Errors
    /// What stopped the output.
    pub fn finish(mut self) -> Result<()> {
        let cancel = Cancel::new();
        if self.thinking {
            self.end_thought(&cancel);
        }
        if !self.lines_of_json && self.open_line {
            let newline = self.out.is_terminal() || self.error.is_none();
            if newline {
                self.put("\n", &cancel);
            }
        }
        self.error.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// Tokens and speeds of an answer, for people.
pub fn timings(summary: &Summary) -> String {
    let time = &summary.timings;
    let speculated = match summary.drafted_tokens {
        0 => String::new(),
        drafted => format!(" ({} of {drafted} guessed ones were right)", summary.accepted_tokens),
    };
    format!(
        "prompt {} tokens ({} computed) in {:.2} s, {:.1} tokens/s; answer {} tokens{speculated} in {:.2} s, {:.1} tokens/s; ended by {}",
        summary.prompt_tokens,
        time.prefilled_tokens,
        time.prefill_s,
        time.prefill_tok_s,
        summary.ids.len(),
        time.decode_s,
        time.decode_tok_s,
        serde_json::to_string(&summary.finish).unwrap_or_default().trim_matches('"'),
    )
}
