//! A file that gets its name only when it is complete.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{GgufStream, GgufWriter, WriteError};

/// The file under its temporary name `<out>.partial`, removed when it is dropped unfinished.
pub struct FileSink {
    /// Taken by [`FileSink::close`].
    file: Option<BufWriter<File>>,
    partial: PathBuf,
    out: PathBuf,
    force: bool,
}

/// Starts `writer` on a file at `out`, in the same folder under a temporary name until
/// [`GgufStream::publish`]: a run that is cut off leaves nothing under the final name.
///
/// # Errors
/// [`WriteError::Exists`] when `out` exists and `force` is off; [`WriteError::Io`].
pub fn create(writer: GgufWriter, out: &Path, force: bool) -> Result<GgufStream<FileSink>, WriteError> {
    refuse_existing(out, force)?;
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = out.with_file_name(name);
    let file = File::create(&partial).map_err(|source| at(&partial, source))?;
    let file = Some(BufWriter::with_capacity(1 << 20, file));
    writer.start(FileSink { file, partial, out: out.to_owned(), force })
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
    /// As [`GgufStream::finish`], and [`WriteError::Exists`] when the name was taken meanwhile.
    pub fn publish(self) -> Result<PathBuf, WriteError> {
        self.finish()?.close()
    }
}

impl FileSink {
    fn close(mut self) -> Result<PathBuf, WriteError> {
        if let Some(file) = self.file.take() {
            let file = file.into_inner().map_err(|error| at(&self.partial, error.into_error()))?;
            file.sync_all().map_err(|source| at(&self.partial, source))?;
        }
        let renamed = refuse_existing(&self.out, self.force)
            .and_then(|()| fs::rename(&self.partial, &self.out).map_err(|source| at(&self.out, source)));
        if renamed.is_err() {
            // The error that is returned says what went wrong; a leftover is overwritten next time.
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
