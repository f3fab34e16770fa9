//! Standard error: messages, a line of progress where a person watches; and text that is safe to show.

use crate::environment;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line is drawn.
const EVERY: Duration = Duration::from_millis(100);

/// One line that is overwritten; nothing when standard error is no terminal.
pub struct Progress {
    shown: bool,
    drawn: Option<Instant>,
    started: Instant,
}

impl Progress {
    pub fn new() -> Self {
        Progress { shown: io::stderr().is_terminal(), drawn: None, started: Instant::now() }
    }

    /// Draws `text` at once.
    pub fn now(&mut self, text: &str) {
        self.drawn = None;
        self.line(text);
    }

    /// Draws `text` unless the line was drawn a moment ago.
    pub fn line(&mut self, text: &str) {
        if !self.shown || self.drawn.is_some_and(|last| last.elapsed() < EVERY) {
            return;
        }
        self.drawn = Some(Instant::now());
        // Progress that cannot be drawn is no failure of the work.
        let _ = write!(io::stderr(), "\r\x1b[2K{text}").and_then(|()| io::stderr().flush());
    }

    /// `what 42 %, 1.2 of 3.4 GB, 230.0 MB/s` with a bar.
    pub fn bytes(&mut self, what: &str, done: u64, total: u64) {
        if !self.shown {
            return;
        }
        let part = if total == 0 { 1.0 } else { done as f64 / total as f64 };
        let filled = (part * 24.0) as usize;
        let bar: String = (0..24).map(|i| if i < filled { '█' } else { '░' }).collect();
        let speed = done as f64 / self.started.elapsed().as_secs_f64().max(1e-3);
        let (done, total, speed) = (crate::table::bytes(done), crate::table::bytes(total), crate::table::bytes(speed as u64));
        self.line(&format!("{bar} {:3.0} %  {what}  {done} of {total}, {speed}/s", part * 100.0));
    }

    /// Removes the line.
    pub fn clear(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[2K").and_then(|()| io::stderr().flush());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Writes to standard error; a reader that is gone is no failure.
pub fn tell(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// `text` with its control characters escaped, which would act on the terminal; line ends and tabs stay.
pub fn printable(text: &str) -> String {
    let acts = |c: char| c.is_control() && c != '\n' && c != '\t';
    text.chars().map(|c| if acts(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// [`printable`] on one line.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// Whether standard output takes colours.
pub fn colours() -> bool {
    io::stdout().is_terminal() && !environment::no_color()
}
