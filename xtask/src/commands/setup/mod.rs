//! `cargo xtask setup`: brings what is missing, says what it does, and is silent and quick otherwise.

mod deny;
mod npm;
mod system;
mod wasm_std;

use anyhow::Result;
use std::path::PathBuf;
use std::process::Command;

pub use system::{chromium, hardware_gpu, lavapipe};

/// What the command that asks for the setup will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Build the browser's part: a machine without a test browser is good enough.
    Build,
    /// Build everything and serve it: brings the test tools too, and goes on without them.
    Serve,
    /// Run the tests: everything must be there.
    Tests,
}

/// Brings what `need` asks for, or fails with what to install.
pub fn run(need: Need) -> Result<()> {
    wasm_std::ensure()?;
    if need != Need::Build {
        match system::ensure() {
            Err(error) if need == Need::Serve => eprintln!("note: no tests yet: {error:#}"),
            result => result?,
        }
    }
    if need == Need::Tests {
        deny::ensure();
        documentation()?;
    }
    npm::ensure("web")
}

/// What the documentation is built with.
pub fn documentation() -> Result<()> {
    npm::ensure("web")?;
    npm::ensure("web/docs")
}

/// One line for each thing that is done.
fn say(what: &str) {
    println!("setup: {what}");
}

/// Points the tests at the tools found: the browser, and the software Vulkan driver where no GPU is.
pub fn test_environment(command: &mut Command) {
    if std::env::var_os("CHROMIUM").is_none()
        && let Some(browser) = chromium()
    {
        command.env("CHROMIUM", browser);
    }
    if std::env::var_os("VK_DRIVER_FILES").is_none()
        && !hardware_gpu()
        && let Some(driver) = lavapipe()
    {
        command.env("VK_DRIVER_FILES", driver);
    }
}

/// The first of the paths that is there.
fn first_file(candidates: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    candidates.into_iter().find(|path| path.is_file())
}
