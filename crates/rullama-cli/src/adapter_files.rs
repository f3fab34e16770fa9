//! Adapters that a person names: `PATH` or `PATH:SCALE`.

use crate::error::usage;
use anyhow::{Context, Result};
use rullama_adapter::{Adapter, files, read};
use rullama_source::ByteSource;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An adapter and what it is multiplied with.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    pub path: PathBuf,
    pub scale: f32,
}

impl Named {
    /// Reads `PATH[:SCALE]`; what exists under the whole name is that.
    ///
    /// # Errors
    /// A scale that is no number.
    pub fn parse(text: &OsStr) -> Result<Named> {
        let whole = || Named { path: PathBuf::from(text), scale: 1.0 };
        let Some((path, scale)) = text.to_str().and_then(|text| text.rsplit_once(':')) else { return Ok(whole()) };
        if Path::new(text).exists() || path.is_empty() {
            return Ok(whole());
        }
        match scale.parse::<f32>() {
            Ok(scale) if scale.is_finite() => Ok(Named { path: PathBuf::from(path), scale }),
            Err(_) if !Path::new(path).exists() => Ok(whole()),
            _ => Err(usage(format!("--adapter: {scale:?} is no scale. Write PATH:SCALE, such as {path}:0.5, or the path alone."))),
        }
    }
}

/// An adapter and the files that it was read from.
pub struct Opened {
    pub adapter: Adapter,
    pub sources: Vec<Arc<dyn ByteSource>>,
}

/// Reads the adapter at `path`.
///
/// # Errors
/// What is wrong with it.
pub fn open(path: &Path) -> Result<Opened> {
    let failed = || format!("the adapter {} cannot be read", path.display());
    let sources = files::open(path).with_context(failed)?;
    let mut adapter = pollster::block_on(read(&sources)).with_context(failed)?;
    if let Some(name) = path.file_stem().filter(|_| adapter.name.is_empty()) {
        adapter.name = name.to_string_lossy().into_owned();
    }
    Ok(Opened { adapter, sources })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("a:2");
        std::fs::write(&odd, b"").unwrap();
        let parse = |text: &str| Named::parse(OsStr::new(text));
        let named = |path: &str, scale| Named { path: path.into(), scale };
        for (text, expected) in [
            ("x", named("x", 1.0)),
            ("x:0.5", named("x", 0.5)),
            ("a:b:-2", named("a:b", -2.0)),
            ("x:y", named("x:y", 1.0)),
            (":3", named(":3", 1.0)),
        ] {
            assert_eq!(parse(text).unwrap(), expected);
        }
        let odd = odd.to_str().unwrap();
        assert_eq!(parse(odd).unwrap(), named(odd, 1.0));
        assert_eq!(parse(&format!("{odd}:3")).unwrap(), named(odd, 3.0));
        for wrong in ["x:inf", "x:NaN", &format!("{odd}:half")] {
            assert!(parse(wrong).unwrap_err().to_string().contains("scale"), "{wrong}");
        }
    }
}
