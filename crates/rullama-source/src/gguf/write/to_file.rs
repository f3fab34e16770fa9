//! A file that gets its name only when it is complete.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{GgufStream, GgufWriter, WriteError};

/// The file under its temporary name `<out>.partial-<process>`, removed when it is dropped unfinished.
pub struct FileSink {
    /// Taken by [`FileSink::publish`].
    file: Option<BufWriter<File>>,
    partial: PathBuf,
    out: PathBuf,
    force: bool,
}

/// Starts `writer` on a file at `out`, in the same folder under a temporary name until
/// [`GgufStream::publish`]: a run that is cut off leaves nothing under the final name.
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
        let mut name = out.file_name().unwrap_or_default().to_owned();
        name.push(format!(".partial-{}", std::process::id()));
        let partial = out.with_file_name(name);
        // Only a new file is written and removed on errors: what has the name may be somebody's.
        let file = OpenOptions::new().write(true).create_new(true).open(&partial).map_err(|source| at(&partial, source))?;
        Ok(FileSink { file: Some(BufWriter::with_capacity(1 << 20, file)), partial, out, force })
    }

    /// Makes the file durable and gives it its name.
    ///
    /// # Errors
    /// [`WriteError::Exists`] and [`WriteError::NotAFile`] when the name was taken meanwhile; [`WriteError::Io`].
    pub fn publish(mut self) -> Result<PathBuf, WriteError> {
        if let Some(file) = self.file.take() {
            let written = file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
            if let Err(source) = written {
                let _ = fs::remove_file(&self.partial);
                return Err(at(&self.partial, source));
            }
        }
        let renamed = refuse_existing(&self.out, self.force)
            .and_then(|()| target(&self.out))
            .and_then(|_| fs::rename(&self.partial, &self.out).map_err(|source| at(&self.out, source)));
        if renamed.is_err() {
            // The error that is returned says what went wrong; a leftover is in nobody's way.
            let _ = fs::remove_file(&self.partial);
        }
        renamed.map(|()| self.out.clone())
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = fs::remove_file(&self.partial);
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
