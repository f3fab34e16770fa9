//! `cargo xtask docs`: the documentation as a site, which `rullama serve` has under `/docs`.

use super::setup;
use crate::{process, workspace};
use anyhow::Result;
use std::path::Path;
use std::time::SystemTime;

/// Where the site is made, and what its pages are made from.
const SITE: &str = "web/docs/dist/index.html";
const SOURCES: [&str; 7] = [
    "docs",
    "README.md",
    "web/docs/build.mjs",
    "web/docs/.vitepress",
    "web/packages/rullama/src",
    "web/packages/rullama/README.md",
    "web/examples/README.md",
];

/// Builds it.
pub fn run() -> Result<()> {
    setup::documentation()?;
    process::run(process::npm(&workspace::root().join("web/docs")).args(["run", "--silent", "build"]))
}

/// Builds it where its sources are newer.
pub fn refresh() -> Result<()> {
    let root = workspace::root();
    let built = root.join(SITE).metadata().and_then(|about| about.modified()).ok();
    let newest = SOURCES.iter().filter_map(|source| newest(&root.join(source))).max();
    if built >= newest { Ok(()) } else { run() }
}

/// When a file, or the last one of a folder, was changed.
fn newest(path: &Path) -> Option<SystemTime> {
    let entries = path.read_dir().into_iter().flatten().flatten().filter_map(|entry| newest(&entry.path()));
    entries.chain(path.metadata().and_then(|about| about.modified())).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_there() {
        for source in SOURCES {
            assert!(newest(&workspace::root().join(source)).is_some(), "{source}");
        }
    }
}
