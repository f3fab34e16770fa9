//! `--adapter`, for every command that answers or trains.

use crate::model::Located;
use anyhow::{Context, Result, bail};
use rullama::adapter::{Adapter, files};
use rullama::{Engine, MAX_ADAPTER_SCALE, Session};
use rullama_source::ByteSource;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A LoRA adapter and the factor on its scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    pub path: PathBuf,
    pub scale: f32,
}

#[derive(clap::Args, Default)]
#[command(next_help_heading = "Adapters")]
pub struct AdapterArguments {
    /// A LoRA adapter to apply, with a factor on its scale; several add up
    ///
    /// A PEFT folder, a GGUF adapter, or a safetensors file of rullama 0.4 or 0.5.
    #[arg(long = "adapter", value_name = "PATH[:SCALE]", value_parser = chosen)]
    pub adapters: Vec<Chosen>,
}

/// Reads `PATH` or `PATH:SCALE`; a path that exists is one, whatever it ends in.
pub fn chosen(text: &str) -> Result<Chosen> {
    let whole = Chosen { path: text.into(), scale: 1.0 };
    let Some((path, scale)) = text.rsplit_once(':').filter(|(path, _)| !path.is_empty()) else { return Ok(whole) };
    if whole.path.exists() {
        return Ok(whole);
    }
    let Ok(scale) = scale.parse::<f32>() else {
        if Path::new(path).exists() {
            bail!("{scale:?} is no scale: write {path}:0.5, or the path alone");
        }
        return Ok(whole);
    };
    if !scale.is_finite() || scale.abs() > MAX_ADAPTER_SCALE {
        bail!("the scale {scale} is outside -{MAX_ADAPTER_SCALE}..={MAX_ADAPTER_SCALE}");
    }
    Ok(Chosen { path: path.into(), scale })
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
    let mut adapter = pollster::block_on(rullama::adapter::read(&sources)).with_context(failed)?;
    if let Some(name) = path.file_stem().filter(|_| adapter.name.is_empty()) {
        adapter.name = name.to_string_lossy().into_owned();
    }
    Ok(Opened { adapter, sources })
}

/// Adapters that were read, each with its factor.
pub struct Adapters(Vec<(Adapter, f32)>);

/// Where all adapters of a model are: those of its store, with a factor of 1, and behind them those that were chosen.
pub fn all<'a>(located: &'a Located, chosen: &'a [Chosen]) -> impl Iterator<Item = (&'a Path, f32)> {
    let stored = located.stored.iter().flat_map(|stored| &stored.adapters).map(|blob| (blob.path.as_path(), 1.0));
    stored.chain(chosen.iter().map(|chosen| (chosen.path.as_path(), chosen.scale)))
}

impl AdapterArguments {
    /// Reads them all, and before them those of the model's store, before the model is loaded.
    pub fn read(&self, located: &Located) -> Result<Adapters> {
        Ok(Adapters(all(located, &self.adapters).map(|(path, scale)| Ok((open(path)?.adapter, scale))).collect::<Result<_>>()?))
    }
}

impl Adapters {
    pub fn all(&self) -> &[(Adapter, f32)] {
        &self.0
    }

    /// A session of `engine` with all of them attached.
    pub fn session(&self, engine: &Engine) -> Result<Session> {
        let mut session = pollster::block_on(engine.session())?;
        let put = |(adapter, scale): &(Adapter, f32)| -> Result<_> { Ok((pollster::block_on(engine.adapter(adapter))?, *scale)) };
        session.set_adapters(&self.0.iter().map(put).collect::<Result<Vec<_>>>()?)?;
        Ok(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_scales() {
        let of = |text: &str| chosen(text).map(|c| (c.path.display().to_string(), c.scale));
        assert_eq!(of("a/b").unwrap(), ("a/b".into(), 1.0));
        assert_eq!(of("a/b:0.5").unwrap(), ("a/b".into(), 0.5));
        assert_eq!(of("C:\\a:-2").unwrap(), ("C:\\a".into(), -2.0));
        assert_eq!(of("C:\\a").unwrap(), ("C:\\a".into(), 1.0));
        assert_eq!(of(":1").unwrap(), (":1".into(), 1.0));
        let folder = tempfile::tempdir().unwrap();
        let named = folder.path().join("run:2");
        std::fs::create_dir(&named).unwrap();
        assert_eq!(of(named.to_str().unwrap()).unwrap(), (named.display().to_string(), 1.0));
        assert!(of(&format!("{}:half", named.display())).is_err());
        assert_eq!(of("x:y").unwrap(), ("x:y".into(), 1.0));
        assert!(of("a:1e9").is_err() && of("a:nan").is_err() && of("a:inf").is_err());
    }
}
