//! Where things are, and what cargo says of the packages.

use crate::process;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The target of the browser build.
pub const WASM: &str = "wasm32-unknown-unknown";

/// The repository's root.
pub fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}

/// `cargo metadata`: of the workspace's own packages, or with everything they depend on.
pub fn metadata(with_dependencies: bool) -> Result<Value> {
    let mut command = process::cargo();
    command.current_dir(root());
    command.args(["metadata", "--format-version=1"]);
    if !with_dependencies {
        command.arg("--no-deps");
    }
    let output = command.output().context("cannot start cargo")?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        bail!("cargo metadata failed: {}", message.trim());
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")
}

/// Cargo's target folder, wherever the configuration puts it.
pub fn target_folder() -> Result<PathBuf> {
    let metadata = metadata(false)?;
    let folder = metadata["target_directory"].as_str();
    folder.map(PathBuf::from).context("cargo metadata names no target folder")
}

/// Text of a file below the root.
pub fn read(file: &str) -> Result<String> {
    let path = root().join(file);
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))
}
