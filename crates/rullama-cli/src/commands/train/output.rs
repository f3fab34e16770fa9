//! The folder that a training writes: the adapter, and until it is done checkpoints.

use super::Arguments;
use crate::terminal;
use anyhow::{Context, Result, bail};
use rullama::adapter::{Adapter, AdapterError, Blob, Precision, gguf, peft};
use rullama_source::gguf::write::FileSink;
use rullama_train::Trainer;
use rullama_train::checkpoint::{Checkpoint, Folder as Checkpoints};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Name of the GGUF form beside PEFT's.
const GGUF: &str = "adapter.gguf";

/// The folder of --out.
pub struct Folder {
    path: PathBuf,
    force: bool,
    checkpoints: Checkpoints,
}

/// What was written.
pub struct Written {
    pub folder: PathBuf,
    /// Why there is no GGUF form, if there is none.
    without_gguf: Option<String>,
}

impl Folder {
    /// Refuses a folder that holds something else, before anything is computed; with --resume gives the checkpoint to go on from.
    pub fn open(arguments: &Arguments) -> Result<(Self, Option<Checkpoint>)> {
        let path = arguments.out.clone();
        let shown = path.display();
        if path.exists() && !path.is_dir() {
            bail!("--out: {shown} is no folder. Choose another name.");
        }
        let used = path.is_dir() && std::fs::read_dir(&path).with_context(|| format!("--out: {shown} cannot be read"))?.next().is_some();
        let from = arguments.resume.as_ref().map(|from| from.as_ref().unwrap_or(&path));
        let here = from == Some(&path);
        if used && !arguments.force && !here {
            bail!("--out: {shown} holds something already. Choose another folder, --resume a training in it, or replace it with --force.");
        }
        let saved = from.map(|from| latest(from)).transpose()?;
        std::fs::create_dir_all(&path).with_context(|| format!("--out: {shown} cannot be made"))?;
        let checkpoints = Checkpoints::new(&path);
        if arguments.force {
            checkpoints.remove()?;
        }
        Ok((Folder { force: arguments.force || here, path, checkpoints }, saved))
    }

    /// Writes a checkpoint of where training stands.
    pub fn save(&self, trainer: &Trainer) -> Result<()> {
        self.checkpoints.save(&pollster::block_on(trainer.checkpoint())?)?;
        Ok(())
    }

    pub fn checkpoints(&self) -> &Checkpoints {
        &self.checkpoints
    }

    /// Removes the checkpoints of a training that is done.
    pub fn forget_checkpoints(&self) -> Result<()> {
        Ok(self.checkpoints.remove()?)
    }

    /// Writes the adapter in both forms.
    pub fn write(&self, adapter: &Adapter) -> Result<Written> {
        let base = adapter.info.base.as_deref();
        self.put(peft::write(adapter, Precision::F32)?)?;
        let without_gguf = match gguf::write(adapter, Precision::F32, GGUF, base) {
            Ok(blobs) => {
                self.put(blobs)?;
                None
            }
            Err(error @ AdapterError::Form { .. }) => Some(error.to_string()),
            Err(error) => return Err(error.into()),
        };
        Ok(Written { folder: self.path.clone(), without_gguf })
    }

    /// Each file gets its name when it is complete.
    fn put(&self, blobs: Vec<Blob>) -> Result<()> {
        for blob in blobs {
            let path = self.path.join(&blob.name);
            let mut sink = FileSink::create(&path, self.force)?;
            sink.write_all(&blob.bytes).with_context(|| format!("{} cannot be written", path.display()))?;
            sink.publish()?;
        }
        Ok(())
    }
}

/// The checkpoint to go on from.
fn latest(folder: &Path) -> Result<Checkpoint> {
    let found = if folder.is_dir() { Checkpoints::new(folder).latest().context("--resume")? } else { None };
    let Some((checkpoint, passed)) = found else {
        bail!("--resume: {} holds no checkpoint. Begin anew without --resume.", folder.display());
    };
    passed.iter().for_each(|error| terminal::tell_line(format_args!("note: {error}")));
    Ok(checkpoint)
}

impl Written {
    /// Where it is, and how it is used.
    pub fn tell(&self) {
        let folder = self.folder.display();
        terminal::tell_line(format_args!("{folder} holds the adapter: `rullama run MODEL --adapter {folder}`"));
        match &self.without_gguf {
            None => terminal::tell_line(format_args!("for Ollama: `ollama create NAME -f {folder}/Modelfile`")),
            Some(why) => terminal::tell_line(format_args!("without a GGUF form: {why}")),
        }
    }
}
