//! Texts that a person hands in: a file or standard input, read whole and never without end.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Most bytes of a text, far beyond every model's context: what has no end (a device, a pipe) is given up there.
const MOST: u64 = 16 << 20;

/// The text of a file.
///
/// # Errors
/// With its name: it cannot be opened or read, is longer than 16 MiB, or no UTF-8.
pub fn file(path: &Path) -> Result<String> {
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| format!("{name} cannot be read"))?;
    text(file, &name, MOST)
}

/// All of standard input.
///
/// # Errors
/// As [`file`].
pub fn stdin() -> Result<String> {
    text(io::stdin().lock(), "standard input", MOST)
}

/// JSON without the byte order mark that some programs put before it.
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn text(from: impl Read, name: &str, most: u64) -> Result<String> {
    let mut bytes = Vec::new();
    from.take(most + 1).read_to_end(&mut bytes).with_context(|| format!("{name} cannot be read"))?;
    if bytes.len() as u64 > most {
        bail!("{name} is longer than {} MiB, the most that is read of a text. Give it in parts.", most >> 20);
    }
    String::from_utf8(bytes).ok().with_context(|| format!("{name} cannot be read as UTF-8 text. Convert it to UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_is_read() {
        assert_eq!(text(&b"four"[..], "x", 4).unwrap(), "four");
        let mut endless = io::repeat(b'a').take(1000);
        let error = text(&mut endless, "x", 4).unwrap_err().to_string();
        assert!(error.starts_with("x is longer than 0 MiB") && endless.limit() == 995, "{error}");
        assert!(text(&b"\xff"[..], "x", 4).unwrap_err().to_string().contains("UTF-8"));
    }
}
