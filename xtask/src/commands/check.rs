//! `cargo xtask check`: the rules of the house, with the data that they need.

use crate::commands::figures;
use crate::rules::{arrows, functions, licences, sources, tests_run};
use crate::workspace;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;

/// Folders that hold nothing written by hand.
const GENERATED: [&str; 7] = ["target", "node_modules", "dist", "dist-test", "test-results", "playwright-report", "artifacts"];

/// In a work tree of git a file, which names a folder of this machine.
const GIT: &str = ".git";

/// Prints what breaks a rule; an error when anything does.
pub fn run() -> Result<()> {
    let mut found = architecture()?;
    found.extend(licence_violations()?);
    found.extend(figures::stale(&workspace::root())?);
    for violation in &found {
        println!("{violation}");
    }
    if !found.is_empty() {
        bail!("{} violations of the rules in xtask/src/rules", found.len());
    }
    println!("arrows, invariants, licences and figures: all in order");
    Ok(())
}

fn architecture() -> Result<Vec<String>> {
    let mut found = arrows::violations(&workspace::metadata(false)?);
    let files = sources_below(&workspace::root())?;
    let home = [workspace::root().to_string_lossy().into_owned()];
    for (path, text) in &files {
        let source = sources::Source { path, text };
        found.extend(sources::violations(&source, &home));
        found.extend(functions::violations(&source));
        found.extend(tests_run::violations(&source));
    }
    found.extend(tests_run::left_out(files.keys().map(String::as_str), &|path| files.get(path).map(String::as_str)));
    found.extend(sources::stale_exceptions(&|path| files.get(path).map(|text| text.lines().count())));
    Ok(found)
}

fn licence_violations() -> Result<Vec<String>> {
    let allowed = licences::allow_list(&workspace::read("deny.toml")?);
    let mut found = licences::crates(&workspace::metadata(true)?, &allowed);
    for folder in ["", "examples/vite/", "examples/webpack/", "examples/plain/"] {
        let path = format!("web/{folder}package-lock.json");
        if let Ok(lock) = workspace::read(&path) {
            let lock = serde_json::from_str(&lock).with_context(|| format!("{path} is no JSON"))?;
            found.extend(licences::npm(&lock, &allowed));
        }
    }
    Ok(found)
}

/// Every text file of the repository, by its path below the root.
fn sources_below(root: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        let entries = folder.read_dir().with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let name = entry.file_name();
            if kind.is_dir() {
                if by_hand(&name.to_string_lossy()) {
                    open.push(path);
                }
            } else if kind.is_file() && name != GIT && entry.metadata()?.len() < 1 << 20 {
                // a file that is not UTF-8 is data
                if let Ok(text) = std::fs::read_to_string(&path) {
                    files.insert(below(root, &path), text);
                }
            }
        }
    }
    Ok(files)
}

fn by_hand(folder: &str) -> bool {
    let hidden = folder.starts_with('.') && ![".ci", ".cargo", ".github"].contains(&folder);
    !hidden && !GENERATED.contains(&folder)
}

fn below(root: &Path, path: &Path) -> String {
    let path = path.strip_prefix(root).unwrap_or(path);
    path.to_string_lossy().replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_this_file_and_nothing_generated() {
        let files = sources_below(&workspace::root().join("xtask")).unwrap();
        assert!(files.contains_key("src/commands/check.rs"));
        assert!(!by_hand("target") && !by_hand(".git") && by_hand(".ci"));
    }
}
