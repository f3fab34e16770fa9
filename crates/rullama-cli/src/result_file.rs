//! Where a command may write: never over what it reads, and over other files only when told to.

use crate::model::{self, Located};
use anyhow::{Result, bail};
use rullama_source::gguf::write::{refuse_input, target};
use std::path::Path;

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
    if exists && !force {
        bail!("{} exists. Choose another name, or overwrite it with --force.", out.display());
    }
    Ok(())
}
