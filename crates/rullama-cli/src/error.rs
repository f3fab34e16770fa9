//! From an error to a message and an exit code.

use crate::terminal;
use std::{fmt, io, process::ExitCode};

/// The command line asks for something that cannot be.
#[derive(Debug)]
pub struct Usage(pub String);

/// Ctrl-C.
#[derive(Debug)]
pub struct Interrupted;

/// The message was already printed; only the exit code is left to give.
#[derive(Debug)]
pub struct Told;

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")
    }
}

impl std::error::Error for Usage {}
impl std::error::Error for Interrupted {}
impl std::error::Error for Told {}

/// A [`Usage`] as the error of a command.
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    Usage(message.into()).into()
}

/// The error and its causes, without those that the text so far already tells.
fn line(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |line, cause| match cause.to_string() {
        text if line.is_empty() => text,
        text if line.contains(text.trim_end_matches('.')) => line,
        text => format!("{line}: {text}"),
    })
}

/// Tells the person what went wrong. 1: failed, 2: wrong usage, 130: interrupted.
pub fn report(error: &anyhow::Error) -> ExitCode {
    // A reader that has seen enough (`rullama list | head`) is no failure.
    let broken_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(broken_pipe) {
        return ExitCode::SUCCESS;
    }
    if error.is::<Told>() {
        return ExitCode::FAILURE;
    }
    if error.is::<Interrupted>() {
        terminal::tell("interrupted\n");
        return ExitCode::from(130);
    }
    terminal::tell(&format!("error: {}\n", terminal::printable(&line(error))));
    if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_cause_is_told_twice() {
        let inner = anyhow::anyhow!("the disk is full").context("writing x failed: the disk is full. Make room.");
        assert_eq!(super::line(&inner.context("outer")), "outer: writing x failed: the disk is full. Make room.");
    }
}
