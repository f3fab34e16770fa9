//! Where a command may write: never over what it reads, and over other files only when told to.

use crate::model::{self, Located};
use anyhow::{Result, bail};
use rullama_source::ByteSource;
use rullama_source::gguf::write::{refuse_input, target};
use std::path::Path;
use std::sync::Arc;

/// Refuses a result that would replace what must stay. `force` is the command's `--force`.
///
/// # Errors
/// When `out` is no regular file, is read as (part of) the model under whatever name, or exists without `force`.
pub fn check(out: &Path, force: bool, located: &Located) -> Result<()> {
    let written = target(out)?;
    refuse_input(&written, located.source.as_ref())?;
    let exists = written.exists();
    if let Some(stored) = located.stored.as_ref().filter(|_| exists) {
        // A model of the store is more than its largest file: manifest, parameters, templates.
        let (root, inside) = (model::store()?.root().canonicalize()?, written.canonicalize()?);
        if inside.starts_with(root) {
            bail!("{} is a file of the store that {} is read from. Choose another name for the result.", out.display(), stored.name);
        }
    }
    refuse_existing(out, exists, force)
}

/// As [`check`], for a result made of other files than a model.
///
/// # Errors
/// When `out` is no regular file, is one of `sources` under whatever name, or exists without `force`.
pub fn check_against(out: &Path, force: bool, sources: &[Arc<dyn ByteSource>]) -> Result<()> {
    let written = target(out)?;
    for source in sources {
        refuse_input(&written, source.as_ref())?;
    }
    refuse_existing(out, written.exists(), force)
}

fn refuse_existing(out: &Path, exists: bool, force: bool) -> Result<()> {
    if exists && !force {
        bail!("{} exists. Choose another name, or overwrite it with --force.", out.display());
    }
    Ok(())
}
