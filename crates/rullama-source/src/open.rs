//! From a path or an address to a source, with the other parts where it names one of several.

use std::{io, path::Path, sync::Arc};

use crate::{
    FileSource, HttpOptions, HttpSource, JoinedSource,
    gguf::{GgufError, PartName, part_names},
    source::{ByteSource, SourceError},
};

/// After so many parts that a server does not have, the others are not asked for.
const MISSING_ON_A_SERVER: usize = 8;

/// Opens a file; of a split model (`...-00001-of-00003.gguf`), all parts beside it.
///
/// # Errors
/// [`GgufError::MissingParts`], and what is wrong with the file that is named.
pub fn open_path(path: impl AsRef<Path>) -> Result<Arc<dyn ByteSource>, GgufError> {
    let path = path.as_ref();
    let named: Arc<dyn ByteSource> = Arc::new(FileSource::open(path)?);
    let Some(name) = path.to_str() else { return Ok(named) };
    with_parts(named, name, usize::MAX, |name| FileSource::open(name).map(|file| Arc::new(file) as Arc<dyn ByteSource>))
}

/// Opens an address; of a split model, also those of the other parts.
///
/// # Errors
/// As [`open_path`].
pub fn open_url(url: &str, options: &HttpOptions) -> Result<Arc<dyn ByteSource>, GgufError> {
    let open = |url: &str| HttpSource::open(url, options.clone()).map(|file| Arc::new(file) as Arc<dyn ByteSource>);
    with_parts(open(url)?, url, MISSING_ON_A_SERVER, open)
}

fn with_parts(
    named: Arc<dyn ByteSource>,
    name: &str,
    most_missing: usize,
    open: impl Fn(&str) -> Result<Arc<dyn ByteSource>, SourceError>,
) -> Result<Arc<dyn ByteSource>, GgufError> {
    let names = pollster::block_on(part_names(&*named, name))?;
    let (Some(names), Some(own)) = (names, PartName::parse(name)) else { return Ok(named) };
    let (mut parts, mut missing) = (Vec::new(), Vec::new());
    for (number, name) in (1..).zip(&names) {
        if number == own.number {
            parts.push(named.clone());
            continue;
        }
        match open(name) {
            Ok(part) => parts.push(part),
            Err(error) if is_missing(&error) => missing.push(number),
            Err(error) => return Err(error.into()),
        }
        if missing.len() >= most_missing {
            break;
        }
    }
    if missing.is_empty() {
        return Ok(Arc::new(JoinedSource::new(parts)));
    }
    let looked_for = missing.iter().map(|number| own.with(*number)).collect();
    Err(GgufError::MissingParts { name: name.to_owned(), number: own.number, count: own.count, missing, looked_for })
}

fn is_missing(error: &SourceError) -> bool {
    match error {
        SourceError::Open { source, .. } => source.kind() == io::ErrorKind::NotFound,
        SourceError::Status { status, .. } => matches!(status, 404 | 410),
        _ => false,
    }
}
