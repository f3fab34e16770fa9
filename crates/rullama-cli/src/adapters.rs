//! `--adapter`, for every command that answers or trains.

use anyhow::{Context, Result, bail};
use rullama::adapter::{Adapter, files};
use rullama::{Engine, MAX_ADAPTER_SCALE, Session};
use std::path::PathBuf;

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
    let Some(scale) = scale.parse::<f32>().ok().filter(|_| !whole.path.exists()) else { return Ok(whole) };
    if !scale.is_finite() || scale.abs() > MAX_ADAPTER_SCALE {
        bail!("the scale {scale} is outside -{MAX_ADAPTER_SCALE}..={MAX_ADAPTER_SCALE}");
    }
    Ok(Chosen { path: path.into(), scale })
}

/// Adapters that were read, each with its factor.
pub struct Adapters(Vec<(Adapter, f32)>);

impl AdapterArguments {
    /// Reads them all, before a model is loaded.
    pub fn read(&self) -> Result<Adapters> {
        let read = |chosen: &Chosen| -> Result<_> {
            let files = files::open(&chosen.path)?;
            Ok((pollster::block_on(rullama::adapter::read(&files))?, chosen.scale))
        };
        let read = |chosen: &Chosen| read(chosen).with_context(|| format!("--adapter {}", chosen.path.display()));
        Ok(Adapters(self.adapters.iter().map(read).collect::<Result<_>>()?))
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
        assert!(of("a:1e9").is_err() && of("a:nan").is_err() && of("a:inf").is_err());
    }
}
