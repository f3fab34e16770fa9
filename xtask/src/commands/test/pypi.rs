//! The clients from PyPI, in a virtual environment below `target/`.

use crate::process;
use crate::workspace::{root, target_folder};
use anyhow::{Context, Result};
use std::process::Command;

/// Where the tests and the versions of the clients are.
const FOLDER: &str = "tools/pypi-clients";

/// The tests' command, once what they need is installed.
///
/// # Errors
/// No Python 3 with `venv`; a registry that does not answer.
pub fn command() -> Result<Command> {
    let folder = root().join(FOLDER);
    let environment = target_folder()?.join("pypi-clients");
    let python = environment.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let versions = folder.join("requirements.txt");
    let wanted = std::fs::read_to_string(&versions).with_context(|| format!("cannot read {}", versions.display()))?;
    let stamp = environment.join("installed.txt");
    if std::fs::read_to_string(&stamp).ok().as_deref() != Some(&wanted) {
        let program = process::find_program(&["python3", "python"]).context("Python 3 is not installed: install it with its `venv`")?;
        process::run(Command::new(program).args(["-m", "venv", "--clear"]).arg(&environment))?;
        process::run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&versions))?;
        std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    }
    let mut command = Command::new(python);
    command.arg(folder.join("test_clients.py"));
    Ok(command)
}
