//! A file on disk, read at positions (no shared cursor, so several readers may use one source).

use std::{
    fs::{self, File, Metadata},
    io,
    ops::Range,
    path::Path,
};

use same_file::Handle;

use crate::{
    coalesce::read_coalesced,
    source::{BoxFuture, ByteSource, Locality, SourceError},
};

/// Reading over a gap of this size costs less than a second system call.
const GAP: u64 = 16 << 10;
/// Largest joined read; bounds the memory that gaps can waste.
const MAX_JOINED: u64 = 4 << 20;

/// A file opened for reading; its length is fixed at opening.
#[derive(Debug)]
pub struct FileSource {
    name: String,
    file: File,
    len: u64,
}

impl FileSource {
    /// Opens `path`, or the file that it links to.
    ///
    /// # Errors
    /// [`SourceError::NotAFile`] for a folder, a pipe or a device, which are not opened; [`SourceError::Open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SourceError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let failed = |source| SourceError::Open { name: name.clone(), source };
        // Opening a pipe would wait for somebody to write to it.
        if let Some(what) = special(&fs::metadata(path).map_err(failed)?) {
            return Err(SourceError::NotAFile { name, what });
        }
        let file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        match special(&about) {
            Some(what) => Err(SourceError::NotAFile { name, what }),
            None => Ok(Self { name, file, len: about.len() }),
        }
    }

    fn read_blocking(&self, offset: u64, len: usize) -> Result<Vec<u8>, SourceError> {
        SourceError::check(&self.name, self.len, offset, len)?;
        let mut bytes = SourceError::allocate(&self.name, len)?;
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            match read_at(&self.file, &mut bytes[done..], at) {
                Ok(0) => {
                    return Err(SourceError::ShortRead { name: self.name.clone(), offset, expected: len as u64, got: done as u64 });
                }
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(SourceError::Io { name: self.name.clone(), offset: at, source });
                }
            }
        }
        Ok(bytes)
    }
}

/// What something other than a regular file is.
pub(crate) fn special(about: &Metadata) -> Option<&'static str> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = about.file_type();
        for (is, what) in [
            (kind.is_fifo(), "a pipe"),
            (kind.is_socket(), "a socket"),
            (kind.is_char_device(), "a device"),
            (kind.is_block_device(), "a device"),
        ] {
            if is {
                return Some(what);
            }
        }
    }
    match about {
        _ if about.is_file() => None,
        _ if about.is_dir() => Some("a folder"),
        _ => Some("no regular file"),
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    // Moves the file's cursor, which nothing here uses.
    std::os::windows::fs::FileExt::seek_read(file, bytes, offset)
}

impl ByteSource for FileSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn locality(&self) -> Locality {
        Locality::Local
    }

    fn reads_file(&self, path: &Path) -> bool {
        // A pipe is not opened, and no file that is read either.
        let regular = std::fs::metadata(path).is_ok_and(|about| about.is_file());
        let own = || Handle::from_file(self.file.try_clone().ok()?).ok();
        regular && own().is_some_and(|own| Handle::from_path(path).is_ok_and(|other| other == own))
    }

    fn read<'a>(&'a self, offset: u64, len: usize) -> BoxFuture<'a, Result<Vec<u8>, SourceError>> {
        Box::pin(async move { self.read_blocking(offset, len) })
    }

    fn read_many<'a>(&'a self, ranges: &'a [Range<u64>]) -> BoxFuture<'a, Result<Vec<Vec<u8>>, SourceError>> {
        Box::pin(read_coalesced(self, ranges, GAP, MAX_JOINED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn names_of_the_file_that_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("a"), b"same").unwrap();
        std::fs::write(at("copy"), b"same").unwrap();
        std::fs::hard_link(at("a"), at("hard")).unwrap();
        std::os::unix::fs::symlink("a", at("link")).unwrap();
        std::fs::create_dir(at("sub")).unwrap();
        let source = FileSource::open(at("link")).unwrap();
        for name in ["a", "hard", "link", "sub/../a"] {
            assert!(source.reads_file(&at(name)), "{name}");
        }
        for name in ["copy", "none", "sub"] {
            assert!(!source.reads_file(&at(name)), "{name}");
        }
        // The same file once its name is gone, and another one under that name.
        std::fs::remove_file(at("a")).unwrap();
        std::fs::write(at("a"), b"new").unwrap();
        assert!(source.reads_file(&at("hard")) && !source.reads_file(&at("a")));
    }

    #[test]
    #[cfg(unix)]
    fn pipes_and_devices_are_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [pipe.as_path(), Path::new("/dev/zero"), folder.path()] {
            assert!(matches!(FileSource::open(path), Err(SourceError::NotAFile { .. })), "{}", path.display());
        }
    }

    #[test]
    fn ranges_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        let bytes: Vec<u8> = (0..200_000u32).map(|i| (i * 7 % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let source = FileSource::open(&path).unwrap();
        let read = |o, n| pollster::block_on(source.read(o, n));
        assert_eq!(read(5, 10).unwrap(), bytes[5..15]);
        assert!(read(200_000, 0).unwrap().is_empty());
        assert!(matches!(read(199_999, 2), Err(SourceError::OutOfBounds { .. })));
        assert!(matches!(read(u64::MAX, 2), Err(SourceError::OutOfBounds { .. })));
        let ranges = [150_000..150_100, 0..10, 20..40, 60_000..90_000];
        let parts = pollster::block_on(source.read_many(&ranges)).unwrap();
        for (range, part) in ranges.iter().zip(parts) {
            assert_eq!(part, bytes[range.start as usize..range.end as usize]);
        }
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(100).unwrap();
        let error = read(90, 20).unwrap_err();
        assert!(matches!(error, SourceError::ShortRead { got: 10, .. }), "{error}");
        assert!(matches!(FileSource::open(folder.path()), Err(SourceError::NotAFile { what: "a folder", .. })));
        #[cfg(unix)]
        assert!(matches!(FileSource::open("/dev/null"), Err(SourceError::NotAFile { what: "a device", .. })));
        assert!(matches!(FileSource::open(folder.path().join("none")), Err(SourceError::Open { .. })));
    }
}
