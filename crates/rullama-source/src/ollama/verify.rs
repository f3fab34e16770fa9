//! SHA-256 of blobs, remembered, since hashing 7 GB takes a while.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::Path,
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Blob, StoreError};
use crate::remembered;

/// What a blob looked like when its content matched its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    size: u64,
    /// Nanoseconds since 1970, as text: JSON numbers would lose some.
    modified: String,
    sha256: String,
}

type Cache = BTreeMap<String, Seen>;

/// Checks that the content of `blob` has the SHA-256 of its name.
///
/// `cache` is a JSON file that remembers checked blobs by path, size and modification time; one that
/// is missing or unreadable counts as empty, and one that cannot be written is no error. `progress`
/// gets the bytes hashed so far and their total. Gives whether the answer came from the cache.
///
/// # Errors
/// [`StoreError::BlobDigest`], [`StoreError::BlobSize`], [`StoreError::Io`].
pub fn verify(blob: &Blob, cache: Option<&Path>, progress: &mut dyn FnMut(u64, u64)) -> Result<bool, StoreError> {
    let (now, key) = (look(blob)?, key(blob));
    let mut known = cache.map(remembered::load::<Cache>).unwrap_or_default();
    if known.get(&key) == Some(&now) {
        progress(blob.size, blob.size);
        return Ok(true);
    }
    let actual = hash(blob, progress)?;
    if actual != blob.digest.hex() {
        return Err(StoreError::BlobDigest { path: blob.path.clone(), actual });
    }
    // A file that was written to while it was hashed is not remembered.
    if let Some(path) = cache
        && look(blob)? == now
    {
        known.insert(key, now);
        // Only the next verification would have been quicker.
        let _ = remembered::store(path, &known);
    }
    Ok(false)
}

/// Whether [`verify`] found the blob as it is now to be right.
pub fn is_verified(blob: &Blob, cache: &Path) -> bool {
    look(blob).is_ok_and(|now| remembered::load::<Cache>(cache).get(&key(blob)) == Some(&now))
}

fn key(blob: &Blob) -> String {
    let path = fs::canonicalize(&blob.path).unwrap_or_else(|_| blob.path.clone());
    path.to_string_lossy().into_owned()
}

fn look(blob: &Blob) -> Result<Seen, StoreError> {
    let io = |source| StoreError::io(&blob.path, source);
    let about = fs::metadata(&blob.path).map_err(io)?;
    if about.len() != blob.size {
        let (expected, actual) = (blob.size, about.len());
        return Err(StoreError::BlobSize { path: blob.path.clone(), expected, actual });
    }
    let since = about.modified().map_err(io)?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let sha256 = blob.digest.hex().to_owned();
    Ok(Seen { size: about.len(), modified: since.as_nanos().to_string(), sha256 })
}

fn hash(blob: &Blob, progress: &mut dyn FnMut(u64, u64)) -> Result<String, StoreError> {
    let io = |source| StoreError::io(&blob.path, source);
    let mut file = File::open(&blob.path).map_err(io)?;
    let mut piece = vec![0; 1 << 20];
    let (mut hasher, mut done) = (Sha256::new(), 0);
    loop {
        match file.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => {
                hasher.update(&piece[..n]);
                done += n as u64;
                progress(done, blob.size);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(io(error)),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
