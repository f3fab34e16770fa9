//! Checkpoints in a folder of this machine: the last two, each whole.

use super::{Checkpoint, CheckpointError};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Checkpoints that are kept.
const KEPT: usize = 2;
/// What a file has behind its number while it is written.
const UNFINISHED: &str = "unfinished";
const ENDING: &str = "checkpoint";

/// A folder of checkpoints.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder `checkpoints` in `path`, made when something is saved.
    pub fn new(path: &Path) -> Self {
        Folder { path: path.join("checkpoints") }
    }

    /// Finished checkpoints by their updates, the newest first.
    fn all(&self) -> Vec<(u64, PathBuf)> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten().map(|entry| entry.path());
        let number = |path: &PathBuf| path.file_stem()?.to_str()?.parse().ok();
        let finished = entries.filter(|path| path.extension().is_some_and(|end| end == ENDING));
        let mut all: Vec<(u64, PathBuf)> = finished.filter_map(|path| Some((number(&path)?, path))).collect();
        all.sort_by_key(|(updates, _)| std::cmp::Reverse(*updates));
        all
    }

    /// Writes a checkpoint, gives it its name when it is on the disk, and keeps it and the one before it. Those of later updates are
    /// of a training that was left: they go, so that none of them is taken for the newest.
    ///
    /// # Errors
    /// What the disk says; what is there stays whole.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<PathBuf, CheckpointError> {
        let name = self.path.join(format!("{}.{ENDING}", checkpoint.state.updates));
        let unfinished = name.with_extension(UNFINISHED);
        let failed = |source| CheckpointError::Io { name: name.display().to_string(), source };
        fs::create_dir_all(&self.path).map_err(failed)?;
        let written = (|| {
            let mut out = BufWriter::with_capacity(1 << 20, File::create(&unfinished).map_err(failed)?);
            checkpoint.write(&name.display().to_string(), &mut out)?;
            out.flush().map_err(failed)?;
            out.get_ref().sync_all().map_err(failed)?;
            for (_, left) in self.all().into_iter().filter(|(updates, _)| *updates > checkpoint.state.updates) {
                fs::remove_file(left).map_err(failed)?;
            }
            fs::rename(&unfinished, &name).map_err(failed)
        })();
        if written.is_err() {
            // What is half written is of no use and may be what filled the disk.
            let _ = fs::remove_file(&unfinished);
        }
        written?;
        for (_, old) in self.all().into_iter().skip(KEPT) {
            // One too many is no failure of the training.
            let _ = fs::remove_file(old);
        }
        Ok(name)
    }

    /// The newest checkpoint that is whole; a damaged one is passed over for the one before it, and told.
    ///
    /// # Errors
    /// None is whole, and there is one.
    pub fn latest(&self) -> Result<Option<(Checkpoint, Vec<CheckpointError>)>, CheckpointError> {
        let mut passed = Vec::new();
        for (_, path) in self.all() {
            let name = path.display().to_string();
            let read = fs::read(&path).map_err(|e| CheckpointError::Read { name: name.clone(), reason: e.to_string() });
            match read.and_then(|bytes| Checkpoint::read(&name, &bytes)) {
                Ok(checkpoint) => return Ok(Some((checkpoint, passed))),
                Err(error) => passed.push(error),
            }
        }
        match passed.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(None),
        }
    }

    /// Removes them all: the training is done.
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove(&self) -> Result<(), CheckpointError> {
        match fs::remove_dir_all(&self.path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(CheckpointError::Io { name: self.path.display().to_string(), source })
            }
            _ => Ok(()),
        }
    }
}
