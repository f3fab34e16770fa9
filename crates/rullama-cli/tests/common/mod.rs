//! Runs the program.
#![allow(dead_code)] // each test binary uses its part

use std::process::{Command, Output, Stdio};

/// For commands that run a model: without an adapter (software is enough) the test is not run.
pub fn need_adapter() {
    let opened = pollster::block_on(rullama::Device::open(&rullama::OpenOptions::default()));
    rullama_testing::found(opened, |error| matches!(error, rullama::GpuError::NoAdapter { .. }));
}

/// The program with an empty environment as far as it looks at it.
pub fn rullama(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rullama"));
    command.args(arguments).stdin(Stdio::null());
    command.env("OLLAMA_MODELS", "/nonexistent").env_remove("NO_COLOR");
    command
}

/// What a run gave.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub fn run(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
}

/// Runs and expects success.
pub fn ok(command: &mut Command) -> String {
    let ran = run(command);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    ran.out
}

/// Runs and expects failure with `code`; gives the message.
pub fn fails(code: i32, command: &mut Command) -> String {
    let ran = run(command);
    assert_eq!(ran.code, code, "{}{}", ran.out, ran.err);
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
    ran.err
}
