//! The standard library for wasm32-unknown-unknown.

use super::say;
use crate::workspace::{self, WASM};
use crate::{commands::setup::system, process};
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;

/// From rustup; where that cannot be had, built from the distribution's source of the same version.
pub fn ensure() -> Result<()> {
    if installed() {
        return Ok(());
    }
    let rustup = process::find_program(&["rustup", "rustup.exe"]);
    if let Some(rustup) = rustup {
        say(&format!("Rust's standard library for {WASM} (rustup target add)"));
        // a failure shows below: the library is not there
        let _ = process::run(Command::new(rustup).args(["target", "add", WASM]));
        if installed() {
            return Ok(());
        }
    }
    if system::apt() {
        say(&format!("Rust's standard library for {WASM}, from source (minutes)"));
        let script = workspace::root().join("xtask/src/commands/setup/wasm-std.sh");
        process::run(Command::new("bash").arg(script))?;
    }
    if !installed() {
        bail!(
            "no standard library for {WASM}: run `rustup target add {WASM}`, or install your \
             distribution's package of it (Debian: libstd-rust-dev-wasm32, Fedora: rust-std-static-{WASM})"
        );
    }
    Ok(())
}

fn installed() -> bool {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--print", "target-libdir", "--target", WASM]);
    process::output(rustc.current_dir(workspace::root())).is_some_and(|folder| has_std(Path::new(&folder)))
}

fn has_std(folder: &Path) -> bool {
    let Ok(files) = folder.read_dir() else {
        return false;
    };
    files
        .flatten()
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .any(|name| name.starts_with("libstd-") && name.ends_with(".rlib"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_folder_without_std() {
        assert!(!super::has_std(&crate::workspace::root()));
    }
}
