//! A file that gets its name only when it is complete.

use std::{
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use tempfile::NamedTempFile;

use super::{GgufStream, GgufWriter, WriteError};
use crate::ByteSource;

/// Longest name that the temporary one repeats; the rest of a file system's 255 bytes is for its own part.
const REPEATED_NAME: usize = 200;

/// Temporary names of the files that this process has not finished.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// The file under a temporary name `<out>.partial-<random>` in the same folder, removed when it is dropped
/// unfinished.
pub struct FileSink {
    /// Taken by [`FileSink::publish`].
    file: Option<BufWriter<NamedTempFile>>,
    out: PathBuf,
    force: bool,
}

/// Removes every file that is not finished, for a process that ends at once.
pub fn discard_unfinished() {
    for partial in UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        // Nothing can be done about one that stays, and nobody needs it.
        let _ = fs::remove_file(partial);
    }
}

fn forget(partial: &Path) {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| other != partial);
}

/// Starts `writer` on a file at `out`, under a temporary name until [`GgufStream::publish`]: a run that is cut
/// off leaves nothing under the final name.
///
/// # Errors
/// As [`FileSink::create`].
pub fn create(writer: GgufWriter, out: &Path, force: bool) -> Result<GgufStream<FileSink>, WriteError> {
    writer.start(FileSink::create(out, force)?)
}

/// The path that a result named `out` is written to: `out`, or the regular file that it links to.
///
/// # Errors
/// [`WriteError::NotAFile`] for what a rename must not replace: folders, devices, pipes, broken links.
pub fn target(out: &Path) -> Result<PathBuf, WriteError> {
    let Ok(about) = fs::symlink_metadata(out) else { return Ok(out.to_owned()) };
    let linked = if about.is_symlink() { fs::canonicalize(out).ok() } else { Some(out.to_owned()) };
    linked.filter(|path| path.is_file()).ok_or_else(|| WriteError::NotAFile { path: out.display().to_string() })
}

/// Refuses to write over what `source` reads, whatever `out` calls it.
///
/// # Errors
/// [`WriteError::IsInput`].
pub fn refuse_input(out: &Path, source: &dyn ByteSource) -> Result<(), WriteError> {
    if source.reads_file(out) { Err(WriteError::IsInput { path: out.display().to_string() }) } else { Ok(()) }
}

fn refuse_existing(out: &Path, force: bool) -> Result<(), WriteError> {
    if !force && out.exists() {
        return Err(WriteError::Exists { path: out.display().to_string() });
    }
    Ok(())
}

fn at(path: &Path, source: io::Error) -> WriteError {
    WriteError::Io { target: path.display().to_string(), source }
}

impl GgufStream<FileSink> {
    /// Finishes the file, makes it durable and gives it its name.
    ///
    /// # Errors
    /// As [`GgufStream::finish`] and [`FileSink::publish`].
    pub fn publish(self) -> Result<PathBuf, WriteError> {
        self.finish()?.publish()
    }
}

impl FileSink {
    /// Begins a file that gets the name `out` when it is published.
    ///
    /// # Errors
    /// [`WriteError::Exists`] when `out` exists and `force` is off; as [`target`]; [`WriteError::Io`].
    pub fn create(out: &Path, force: bool) -> Result<Self, WriteError> {
        let out = target(out)?;
        refuse_existing(&out, force)?;
        let mut name = out.file_name().filter(|name| name.len() <= REPEATED_NAME).unwrap_or_default().to_owned();
        name.push(".partial-");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&name);
        #[cfg(unix)]
        // The permissions of any new file; temporary ones are otherwise for their owner alone.
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = builder.tempfile_in(folder).map_err(|source| at(&out, source))?;
        UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).push(file.path().to_owned());
        Ok(FileSink { file: Some(BufWriter::with_capacity(1 << 20, file)), out, force })
    }

    /// Makes the file durable and gives it its name.
    ///
    /// # Errors
    /// [`WriteError::Exists`] and [`WriteError::NotAFile`] when the name was taken meanwhile; [`WriteError::Io`].
    pub fn publish(mut self) -> Result<PathBuf, WriteError> {
        let out = self.out.clone();
        let file = self.file.take().ok_or_else(|| at(&out, io::ErrorKind::NotConnected.into()))?;
        let partial = file.get_ref().path().to_owned();
        // Dropped, and so removed, on every way out of here but the last.
        let file = file.into_inner().map_err(io::IntoInnerError::into_error).map_err(|source| at(&out, source))?;
        file.as_file().sync_all().map_err(|source| at(&out, source))?;
        refuse_existing(&out, self.force)?;
        target(&out)?;
        let renamed = if self.force { file.persist(&out) } else { file.persist_noclobber(&out) };
        // Some file systems cannot rename to a new name only.
        let renamed = renamed.or_else(|error| if out.exists() { Err(error) } else { error.file.persist(&out) });
        forget(&partial);
        match renamed {
            Ok(_) => Ok(out),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(WriteError::Exists { path: out.display().to_string() }),
            Err(error) => Err(at(&out, error.error)),
        }
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            let (file, _) = file.into_parts();
            forget(file.path());
        }
    }
}

impl Write for FileSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_mut().ok_or(io::ErrorKind::NotConnected)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().ok_or(io::ErrorKind::NotConnected)?.flush()
    }
}
