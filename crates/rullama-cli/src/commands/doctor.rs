use crate::error::Told;
use crate::load;
use crate::model::{self, EMBEDDED};
use crate::{measured, table, terminal};
use anyhow::{Context as _, Result};
use rullama::{AdapterProfile, Cancel, Device, Engine, LoadOptions, OpenOptions};
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::sync::Arc;

/// Check whether models can run here, and say why not
///
/// Looks at the graphics adapter and its limits, tests kernels on it against the CPU, and looks for
/// Ollama's models. With a MODEL the test loads it; otherwise the embedded one, if there is one.
#[derive(clap::Args)]
pub struct Arguments {
    /// A model whose kernels to test
    model: Option<OsString>,
    /// Only forget what was measured to be faster on the adapters here (products, workgroups that stay): the next load measures again
    #[arg(long, conflicts_with = "model")]
    forget: bool,
}

/// A table of findings that counts what is wrong.
struct Report<W> {
    out: W,
    problems: usize,
}

impl<W: Write> Report<W> {
    fn good(&mut self, what: &str, text: &str) -> io::Result<()> {
        writeln!(self.out, "  ok    {what:<12}  {text}")
    }

    fn note(&mut self, what: &str, text: &str) -> io::Result<()> {
        writeln!(self.out, "  note  {what:<12}  {text}")
    }

    fn bad(&mut self, what: &str, text: &str) -> io::Result<()> {
        self.problems += 1;
        writeln!(self.out, "  FAIL  {what:<12}  {text}")
    }
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let mut report = Report { out: terminal::stdout(), problems: 0 };
    if arguments.forget {
        let forgotten = measured::forget().context("what was measured cannot be forgotten")?;
        return Ok(writeln!(report.out, "{forgotten} measurements forgotten.")?);
    }
    report.good(
        "rullama",
        &format!("{} ({}), {} {}", env!("CARGO_PKG_VERSION"), env!("RULLAMA_COMMIT"), std::env::consts::OS, std::env::consts::ARCH),
    )?;
    if let Some(device) = adapter(&mut report)? {
        limits(&mut report, &device)?;
        drop(device);
        self_test(&mut report, arguments.model.as_deref())?;
    }
    models(&mut report)?;
    let problems = report.problems;
    match problems {
        0 => writeln!(report.out, "\nModels can run here.")?,
        _ => writeln!(report.out, "\nModels cannot run here: {problems} of the checks failed. The lines with FAIL say what to do.")?,
    }
    if problems == 0 { Ok(()) } else { Err(Told.into()) }
}

fn adapter(report: &mut Report<impl Write>) -> Result<Option<Device>> {
    match pollster::block_on(Device::open(&OpenOptions::default())) {
        Ok(device) => {
            report.good("adapter", &format!("{} ({}), driver {}", device.name(), device.backend(), device.driver()))?;
            if device.caps().software {
                report.note(
                    "speed",
                    "this adapter computes on the CPU: everything works, slowly. Install the driver of your graphics card for speed.",
                )?;
            }
            Ok(Some(device))
        }
        Err(error) => {
            report.bad("adapter", &error.to_string())?;
            Ok(None)
        }
    }
}

/// Limits, beside what every WebGPU adapter has.
fn limits(report: &mut Report<impl Write>, device: &Device) -> Result<()> {
    let caps = device.caps();
    let subgroups = caps
        .subgroups
        .map_or("none".to_owned(), |(least, most)| if least == most { format!("of {least}") } else { format!("of {least} to {most}") });
    let timestamps = if caps.timestamps { "yes" } else { "no" };
    report.good(
        "limits",
        &format!(
            "bindings {}, buffers {}, workgroups of {} with {} of memory, {} storage buffers",
            table::bytes(caps.max_binding),
            table::bytes(caps.max_buffer),
            caps.invocations,
            table::bytes(caps.workgroup_memory.into()),
            caps.storage_buffers
        ),
    )?;
    report.good("features", &format!("subgroups {subgroups}, timestamps {timestamps}"))?;
    Ok(())
}

/// Loads a model twice, with all that the adapter has and with WebGPU's guarantees; loading tests
/// every kernel that the model uses against the CPU. Then decodes a few tokens.
fn self_test(report: &mut Report<impl Write>, name: Option<&OsStr>) -> Result<()> {
    let name = match (name, model::embedded_size()) {
        (Some(name), _) => name,
        (None, Some(_)) => OsStr::new(EMBEDDED),
        (None, None) => {
            return Ok(report.note("kernels", "not tested: this program embeds no model. `rullama doctor MODEL` tests with one.")?);
        }
    };
    for (profile, what) in [(AdapterProfile::Native, "native"), (AdapterProfile::WebGpuDefaults, "as WebGPU guarantees")] {
        match try_model(name, profile) {
            Ok(text) => report.good("kernels", &format!("{what}: {text}"))?,
            Err(error) => report.bad("kernels", &format!("{what}: {error:#}"))?,
        }
    }
    Ok(())
}

fn try_model(name: &OsStr, profile: AdapterProfile) -> Result<String> {
    let located = model::locate(name)?;
    located.refuse_adapters()?;
    let source = Arc::clone(&located.source);
    let options = LoadOptions { profile, ..LoadOptions::default() };
    let engine = pollster::block_on(Engine::load_cancellable(source, options, &Cancel::new(), &mut |_| ()))?;
    let prompt = [engine.tokenizer().bos()];
    let ids = pollster::block_on(async { engine.session().await?.greedy(&prompt, 8).await })?;
    let disabled = &engine.info().disabled_kernels;
    let fallback =
        if disabled.is_empty() { String::new() } else { format!("; not used, since they compute wrongly here: {}", disabled.join(", ")) };
    Ok(format!("{} tokens from {}{fallback}", ids.len(), load::title(&engine)))
}

fn models(report: &mut Report<impl Write>) -> Result<()> {
    match model::store() {
        Ok(store) => {
            let listing = store.list();
            report.good("Ollama", &format!("{} models in {}", listing.models.len(), store.root().display()))?;
            listing.problems().try_for_each(|problem| report.note("Ollama", &problem))?;
        }
        Err(error) => report.note("Ollama", &error.to_string())?,
    }
    match model::embedded_size() {
        Some(size) => report.good("embedded", &format!("a model of {}", table::bytes(size)))?,
        None => report.note("embedded", "this program was built without a model inside")?,
    }
    Ok(())
}
