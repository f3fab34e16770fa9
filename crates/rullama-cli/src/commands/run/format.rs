//! `--format`: a word, or a file with a schema.

use crate::error::usage;
use anyhow::{Context, Result};
use rullama::Format;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Largest file: far above what can be kept to.
const LARGEST: u64 = 4 << 20;

/// # Errors
/// A file that cannot be read or is no schema; a schema that cannot be kept.
pub fn read(format: &Path) -> Result<Format> {
    if format == Path::new("json") {
        return Ok(Format::Json);
    }
    let place = || format!("--format: cannot read {}. Give `json`, or the file of a JSON schema", format.display());
    let mut text = String::new();
    File::open(format).with_context(place)?.take(LARGEST + 1).read_to_string(&mut text).with_context(place)?;
    let name = format.display();
    if text.len() as u64 > LARGEST {
        return Err(usage(format!("--format: {name} has more than {} MiB. Give a smaller schema.", LARGEST >> 20)));
    }
    let schema: serde_json::Value = serde_json::from_str(&text).map_err(|error| usage(format!("--format: {name} is no JSON: {error}.")))?;
    let format = Format::try_from(schema).map_err(|reason| usage(format!("--format: {name} {reason}.")))?;
    format.check().map_err(|error| match error {
        rullama::Error::InvalidArgument { reason, .. } => usage(format!("--format: {name} {reason}.")),
        other => other.into(),
    })?;
    Ok(format)
}
