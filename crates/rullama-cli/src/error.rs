//! From an error to a message and an exit code.

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
        eprintln!("interrupted");
        return ExitCode::from(130);
    }
    eprintln!("error: {error:#}");
    if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}
