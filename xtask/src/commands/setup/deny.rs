//! cargo-deny, which reads `deny.toml`.

use super::say;
use crate::{process, workspace};

/// Builds it where it is missing. Tests go on without it where that fails: its steps say that they were not run.
pub fn ensure() {
    let there = || process::output(process::cargo().args(["deny", "--version"]).current_dir(workspace::root())).is_some();
    if there() {
        return;
    }
    say("cargo-deny (cargo install, a minute or two)");
    // Unoptimised: it runs for seconds, and would be built for minutes.
    let mut install = process::cargo();
    install.args(["install", "cargo-deny", "--version=~0.20", "--locked", "--debug"]);
    if let Err(error) = process::run(install.current_dir(workspace::root())) {
        eprintln!("note: no cargo-deny: {error:#}");
    }
}
