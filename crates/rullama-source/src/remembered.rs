//! What a program remembers between its runs to be quicker: a JSON file that may be lost at any time.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::Write as _;
use std::path::Path;
use std::{fs, io};

/// What the file holds; one that is missing or unreadable counts as empty.
pub fn load<T: DeserializeOwned + Default>(path: &Path) -> T {
    fs::read(path).ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default()
}

/// Puts the file in the place of the one before: another program sees either, whole.
///
/// # Errors
/// A folder that cannot be made or written to.
pub fn store<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut partial = tempfile::NamedTempFile::new_in(folder)?;
    partial.write_all(&serde_json::to_vec_pretty(value)?)?;
    partial.persist(path)?;
    Ok(())
}
