//! Everything that is printed: answers on standard output, messages and progress on standard error.
//!
//! What files, models and servers say may hold control characters, which would act on a terminal: set its
//! title, write the clipboard, hide what was printed. Where a stream is a terminal they are shown as escapes;
//! a pipe or a file gets the bytes as they are.

use crate::environment;
use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, IsTerminal, Stdout, Write};
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
        let _ = write!(io::stderr(), "\r\x1b[2K{}", one_line(text)).and_then(|()| io::stderr().flush());
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

/// Standard output; where it is a terminal, without control characters.
///
/// Each call of `write` gets whole characters, as all that formats text does.
pub struct Output {
    out: Stdout,
    terminal: bool,
}

/// Standard output, for everything that a command prints.
pub fn stdout() -> Output {
    let out = io::stdout();
    Output { terminal: out.is_terminal(), out }
}

impl Output {
    /// Whether a person watches.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Writes a sequence that is meant for the terminal.
    pub fn sequence(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.terminal {
            return self.out.write(bytes);
        }
        self.out.write_all(shown(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A line of a picture on standard output, dark on light whatever the terminal's own colours are.
pub fn dark_on_light(line: &str) -> io::Result<()> {
    let mut out = stdout();
    if colours() { out.sequence(&format!("\x1b[30;107m{line}\x1b[0m\n")) } else { writeln!(out, "{line}") }
}

/// Writes to standard error; a reader that is gone is no failure.
pub fn tell(text: &str) {
    let mut err = io::stderr();
    let text = if err.is_terminal() { shown(text) } else { Cow::Borrowed(text) };
    let _ = err.write_all(text.as_bytes());
}

/// A line on standard error.
pub fn tell_line(text: impl Display) {
    tell(&format!("{text}\n"));
}

/// `text` as a terminal may be given it: control characters as JSON escapes them, so that records stay JSON; line
/// ends and tabs as they are.
fn shown(text: &str) -> Cow<'_, str> {
    let acts = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    text.chars().map(|c| if acts(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }).collect::<String>().into()
}

/// Control characters, and those without a form of their own that reorder, hide or break what stands around them.
fn misleads(c: char) -> bool {
    let formats = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    formats || c.is_control()
}

/// `text` with the characters escaped that would act on the terminal or mislead who reads; line ends and tabs stay.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if misleads(c) && c != '\n' && c != '\t' { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// [`printable`] on one line: for names.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if misleads(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// Whether standard output takes colours.
pub fn colours() -> bool {
    io::stdout().is_terminal() && !environment::no_color()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal() {
        assert_eq!(shown("a\x1b]0;t\x07\r\u{9b}31m\x7f\n\tz"), "a\\u001b]0;t\\u0007\\u000d\\u009b31m\\u007f\n\tz");
        // Text in any script stays what it is, also from right to left.
        let text = "e\u{301} \u{200f}\u{5e9}\u{5dc}\u{200e} \u{1f469}\u{200d}\u{1f680}";
        assert!(matches!(shown(text), Cow::Borrowed(same) if same == text));
    }

    #[test]
    fn names() {
        assert_eq!(one_line("a\u{202e}gnp.fugg\n"), "a\\u{202e}gnp.fugg\\n");
        assert_eq!(printable("a\u{2066}b\u{9b}\n\tc"), "a\\u{2066}b\\u{9b}\n\tc");
        assert_eq!(one_line("Gemma \u{e9}e\u{301} \u{5e9}"), "Gemma \u{e9}e\u{301} \u{5e9}");
    }
}
