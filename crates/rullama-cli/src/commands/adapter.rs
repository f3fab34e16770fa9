use crate::error::usage;
use crate::table::{self, Table};
use crate::terminal::one_line;
use crate::{adapters, result_file, terminal};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use rullama_adapter::{Adapter, Blob, Form, Module, Precision, gguf, peft};
use rullama_source::ByteSource;
use rullama_source::gguf::write::FileSink;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Convert an adapter (LoRA) between the forms of PEFT and GGUF
///
/// Reads a PEFT folder (adapter_config.json and adapter_model.safetensors), a GGUF adapter, or an adapter of rullama 0.4 or 0.5,
/// and shows what it holds. A PEFT folder goes into Transformers, PEFT and vLLM; a GGUF file into llama.cpp and Ollama, for
/// which a Modelfile is written beside it.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The adapter to read: a folder or a file
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// What to write: a folder, or a file that ends in .gguf
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// The form of OUT [default: by its ending]
    #[arg(long, value_enum)]
    to: Option<To>,
    /// Type of the values
    #[arg(long = "type", short = 't', value_enum, default_value = "f32")]
    precision: Values,
    /// What Ollama calls the model, for the Modelfile [default: by the adapter's own base model]
    #[arg(long, value_name = "NAME")]
    base: Option<String>,
    /// Overwrite what exists
    #[arg(long)]
    force: bool,
}

const EXAMPLES: &str = "Examples:
  rullama adapter my-lora my-lora.gguf
  rullama adapter my-lora.gguf my-lora-peft --type f16
  rullama adapter old.safetensors my-lora --to peft";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    /// A folder with adapter_config.json and adapter_model.safetensors
    Peft,
    /// One file, with a Modelfile beside it
    Gguf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Values {
    F32,
    F16,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let to = form(arguments)?;
    let opened = adapters::open(&arguments.input)?;
    let precision = if arguments.precision == Values::F16 { Precision::F16 } else { Precision::F32 };
    check(arguments, to, &opened.sources)?;
    let blobs = match to {
        To::Peft => peft::write(&opened.adapter, precision)?,
        To::Gguf => gguf::write(&opened.adapter, precision, &file_name(&arguments.output), arguments.base.as_deref())?,
    };
    show(&opened.adapter)?;
    let written = write(arguments, to, &blobs)?;
    writeln!(terminal::stdout(), "{} is written ({}).", arguments.output.display(), written.join(", "))?;
    Ok(())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The form that is asked for, or that the output's name has.
fn form(arguments: &Arguments) -> Result<To> {
    let name = file_name(&arguments.output);
    let ends = |ending: &str| name.to_ascii_lowercase().ends_with(ending);
    match arguments.to {
        None | Some(To::Peft) if ends(".safetensors") || ends(".json") => {
            Err(usage(format!("{name}: PEFT's form is two files in a folder. Give the folder's name, or one that ends in .gguf.")))
        }
        Some(To::Gguf) if name == gguf::MODELFILE || name.chars().any(char::is_control) => {
            Err(usage(format!("{name:?} cannot be the name of the adapter beside a Modelfile. Choose another, such as adapter.gguf.")))
        }
        Some(to) => Ok(to),
        None if ends(".gguf") => Ok(To::Gguf),
        None => Ok(To::Peft),
    }
}

/// Where each file of the result goes.
fn path_of(arguments: &Arguments, to: To, blob: &str) -> PathBuf {
    match to {
        To::Peft => arguments.output.join(blob),
        To::Gguf if blob == gguf::MODELFILE => arguments.output.with_file_name(blob),
        To::Gguf => arguments.output.clone(),
    }
}

/// Refuses what would replace a file that must stay. A Modelfile that is there stays, and is no reason to refuse.
fn check(arguments: &Arguments, to: To, sources: &[Arc<dyn ByteSource>]) -> Result<()> {
    let out = &arguments.output;
    let paths = match to {
        To::Gguf if keeps_modelfile(arguments) => vec![out.clone()],
        To::Gguf => vec![out.clone(), path_of(arguments, to, gguf::MODELFILE)],
        To::Peft if out.exists() && !out.is_dir() => bail!("{} is no folder, which PEFT's form needs. Choose another name.", out.display()),
        To::Peft => vec![out.join(peft::MODEL), out.join(peft::CONFIG)],
    };
    paths.iter().try_for_each(|path| result_file::check_against(path, arguments.force, sources))
}

/// Whether there is a Modelfile that must not be replaced.
fn keeps_modelfile(arguments: &Arguments) -> bool {
    !arguments.force && arguments.output.with_file_name(gguf::MODELFILE).exists()
}

/// Writes the files, each complete before any has its name; gives their names and sizes.
fn write(arguments: &Arguments, to: To, blobs: &[Blob]) -> Result<Vec<String>> {
    let made = to == To::Peft && std::fs::create_dir(&arguments.output).is_ok();
    let keeps = to == To::Gguf && keeps_modelfile(arguments);
    let result = publish(arguments, to, blobs.iter().filter(|blob| !(keeps && blob.name == gguf::MODELFILE)));
    if result.is_err() && made {
        // A folder of one's own, if it is still empty.
        let _ = std::fs::remove_dir(&arguments.output);
    }
    let written = result?;
    if let Some(modelfile) = blobs.iter().find(|blob| keeps && blob.name == gguf::MODELFILE) {
        let text = String::from_utf8_lossy(&modelfile.bytes);
        terminal::tell(&format!("note: the Modelfile that is there stays; the one for this adapter would be\n{text}"));
    }
    Ok(written)
}

fn publish<'a>(arguments: &Arguments, to: To, blobs: impl Iterator<Item = &'a Blob>) -> Result<Vec<String>> {
    let (mut sinks, mut written) = (Vec::new(), Vec::new());
    for blob in blobs {
        let path = path_of(arguments, to, &blob.name);
        let mut sink = FileSink::create(&path, arguments.force)?;
        sink.write_all(&blob.bytes).with_context(|| format!("{} cannot be written", path.display()))?;
        sinks.push(sink);
        written.push(format!("{} {}", blob.name, table::bytes(blob.bytes.len() as u64)));
    }
    for sink in sinks {
        sink.publish()?;
    }
    Ok(written)
}

/// Prints what an adapter holds.
fn show(adapter: &Adapter) -> Result<()> {
    let form = match adapter.info.form {
        Some(Form::Gguf) => "GGUF",
        Some(Form::Rullama) => "rullama 0.4 or 0.5",
        _ => "PEFT",
    };
    let mut out = terminal::stdout();
    let base = adapter.info.base.as_ref().map(|base| format!(", trained on {}", one_line(base))).unwrap_or_default();
    let stabilised = if adapter.info.rslora { ", rank-stabilised" } else { "" };
    let values = table::count(adapter.values());
    writeln!(out, "{}: {form}{stabilised}, {} pairs, {values} values{base}", one_line(&adapter.name), adapter.pairs.len())?;
    let mut table = Table::new(&["module", "layers", "rank", "scale"]);
    for module in Module::ALL {
        let pairs = || adapter.pairs.iter().filter(move |(target, _)| target.module == module).map(|(_, pair)| pair);
        if pairs().next().is_none() {
            continue;
        }
        let layers = adapter.pairs.keys().filter(|target| target.module == module).filter_map(|target| target.layer);
        let ranks: BTreeSet<u32> = pairs().map(|pair| pair.rank).collect();
        let mut scales: Vec<f32> = pairs().map(|pair| pair.scale).collect();
        scales.sort_by(f32::total_cmp);
        scales.dedup();
        table.row([module.to_string(), runs(layers), list(ranks.iter()), list(scales.iter())]);
    }
    out.write_all(table.render().as_bytes())?;
    let left_out = &adapter.info.left_out;
    if let Some(first) = left_out.first() {
        let more = if left_out.len() > 1 { format!(" and {} more", left_out.len() - 1) } else { String::new() };
        terminal::tell_line(format_args!("note: {}{more} is left out: it is not of the language model's adapter", one_line(first)));
    }
    Ok(())
}

/// `0-3, 7`: numbers in ascending order.
fn runs(numbers: impl Iterator<Item = u32>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some(run) if run.1 + 1 == number => run.1 = number,
            _ => runs.push((number, number)),
        }
    }
    list(runs.iter().map(|&(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") }))
}

/// The first few of a list.
fn list<T: ToString>(items: impl Iterator<Item = T>) -> String {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    let shown = items[..items.len().min(6)].join(", ");
    if items.len() > 6 { format!("{shown}, ...") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_words() {
        assert_eq!(runs([0, 1, 2, 5, 7, 8].into_iter()), "0-2, 5, 7-8");
        assert_eq!(runs([].into_iter()), "");
        assert_eq!(list((0..9).map(|i| 2 * i)), "0, 2, 4, 6, 8, 10, ...");
    }
}
