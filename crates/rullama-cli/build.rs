//! Facts of the build: the commit, and whether there is a model to embed.

use std::{path::Path, process::Command};

/// Larger files do not belong into a program.
const LARGEST_MODEL: u64 = 16 << 20;

fn main() {
    // Asked when it runs: a build folder may have been copied from where this was compiled.
    let root = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../..");
    println!("cargo::rustc-env=RULLAMA_COMMIT={}", commit(&root));
    println!("cargo::rerun-if-env-changed=RULLAMA_COMMIT");
    for path in [".git/HEAD", ".git/logs/HEAD", "crates", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }

    let model = root.join("web/app/public/model/rullama-demo.gguf");
    println!("cargo::rustc-check-cfg=cfg(embedded_model)");
    println!("cargo::rerun-if-changed={}", model.display());
    if std::fs::metadata(&model).is_ok_and(|about| about.is_file() && about.len() < LARGEST_MODEL) {
        println!("cargo::rustc-cfg=embedded_model");
    }
}

/// The commit that is built, `-dirty` with changes on top. Outside of a repository what
/// `RULLAMA_COMMIT` says, else "unknown".
fn commit(root: &Path) -> String {
    if let Ok(commit) = std::env::var("RULLAMA_COMMIT") {
        return commit;
    }
    let output = Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]).current_dir(root).output();
    let text = output.ok().filter(|output| output.status.success()).and_then(|output| String::from_utf8(output.stdout).ok());
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}
