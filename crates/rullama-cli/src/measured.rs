//! Measurements of adapters, remembered until the program or a driver changes.

use crate::environment;
use rullama::Measurements;
use rullama_source::remembered;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::{fs, io};

/// The build whose kernels were measured, and by key whether products in codes were faster.
type Kept = (String, BTreeMap<String, bool>);

/// The file that keeps them.
#[derive(Debug)]
struct Measured(PathBuf);

/// Where this program keeps measurements; none where the system names no place for it.
pub fn kept() -> Option<Arc<dyn Measurements>> {
    environment::measured().map(|path| Arc::new(Measured(path)) as Arc<dyn Measurements>)
}

/// Forgets them and gives how many there were.
///
/// # Errors
/// A file that cannot be removed.
pub fn forget() -> io::Result<usize> {
    let Some(path) = environment::measured() else { return Ok(0) };
    let (_, known): Kept = remembered::load(&path);
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(known.len()),
    }
}

/// This build.
fn build() -> String {
    format!("{} {}", env!("CARGO_PKG_VERSION"), env!("RULLAMA_COMMIT"))
}

impl Measured {
    /// What this build measured.
    fn known(&self) -> BTreeMap<String, bool> {
        let (by, known): Kept = remembered::load(&self.0);
        if by == build() { known } else { BTreeMap::new() }
    }
}

impl Measurements for Measured {
    fn recall(&self, key: &str) -> Option<bool> {
        self.known().get(key).copied()
    }

    fn keep(&self, key: &str, faster: bool) {
        let mut known = self.known();
        known.insert(key.to_owned(), faster);
        // Only the next load would have been quicker.
        let _ = remembered::store(&self.0, &(build(), known));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_recalled_until_the_build_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("measured.json");
        let measured = Measured(path.clone());
        assert_eq!(measured.recall("a"), None);
        measured.keep("a", true);
        measured.keep("b", false);
        assert_eq!((measured.recall("a"), measured.recall("b"), measured.recall("c")), (Some(true), Some(false), None));
        let (_, known): Kept = remembered::load(&path);
        remembered::store(&path, &("another build", known)).unwrap();
        assert_eq!(measured.recall("a"), None);
        fs::write(&path, "{").unwrap();
        assert_eq!(measured.recall("a"), None);
        measured.keep("a", false);
        assert_eq!(measured.recall("a"), Some(false));
    }
}
