//! The npm packages of `web/` and of its documentation, as their lock files name them.

use super::say;
use crate::{process, workspace};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

const OLDEST_NODE: u32 = 20;

/// `npm ci` in a folder when its lock file is newer than what is installed.
pub fn ensure(folder: &str) -> Result<()> {
    let web = workspace::root().join(folder);
    let lock = web.join("package-lock.json");
    if !lock.is_file() {
        return Ok(());
    }
    if modified(&web.join("node_modules/.package-lock.json")) >= modified(&lock) {
        return Ok(());
    }
    check_node()?;
    say(&format!("npm packages of {folder}/ (npm ci)"));
    let mut npm = process::npm(&web);
    npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
    // the system's browser is used
    npm.env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    process::run(&mut npm).with_context(|| format!("cannot install the npm packages of {folder}/"))?;
    touch(&web.join("node_modules/.package-lock.json"));
    Ok(())
}

fn check_node() -> Result<()> {
    let version = process::output(Command::new("node").arg("--version"));
    let Some(version) = version else {
        bail!("Node.js is missing: install Node.js {OLDEST_NODE} or newer with npm");
    };
    match major(&version) {
        Some(major) if major < OLDEST_NODE => {
            bail!("Node.js {version} is too old: install {OLDEST_NODE} or newer")
        }
        _ => Ok(()),
    }
}

/// `v20.1.0` -> 20
fn major(version: &str) -> Option<u32> {
    let number = version.strip_prefix('v')?.split('.').next()?;
    number.parse().ok()
}

fn modified(file: &Path) -> Option<SystemTime> {
    file.metadata().and_then(|data| data.modified()).ok()
}

/// npm leaves an older time on the file where nothing changed.
fn touch(file: &Path) {
    if let Ok(file) = std::fs::File::options().append(true).open(file) {
        let _ = file.set_modified(SystemTime::now());
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn major_version() {
        assert_eq!(super::major("v20.20.2"), Some(20));
        assert_eq!(super::major("node"), None);
    }
}
