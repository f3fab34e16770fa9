use crate::adapters::{self, Chosen};
use crate::error::usage;
use crate::merge::{self, Plan, Scaled};
use crate::quantize::{self, Output, Scheme};
use crate::table;
use crate::terminal::{self, Progress};
use crate::{interrupt, model, result_file};
use anyhow::Result;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

/// Write a model with adapters (LoRA) merged into its weights
///
/// Every weight that an adapter is on becomes W + scale * alpha / rank * B A, computed in f32, piece by piece, and is written
/// in its own type; in Q8_0 where that type can only be read. Other tensors are copied. Adapters add up, those that Ollama's store
/// has with the model included. The result needs no adapter and runs wherever the model does. It gets its name when it is complete.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The model: a path, a name from Ollama's store or an address
    model: OsString,
    /// The file to write
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// An adapter (a PEFT folder or a file), and what it is multiplied with [default: 1]; may be given several times
    ///
    /// Needed unless the store has one with the model.
    #[arg(long, value_name = "A[:SCALE]", value_parser = adapters::chosen)]
    adapter: Vec<Chosen>,
    /// Write all matrices in other types, as `rullama quantize` does
    #[arg(long = "type", short = 't', value_parser = Scheme::parse, value_name = "TYPE")]
    scheme: Option<Scheme>,
    /// Overwrite OUT if it exists
    #[arg(long)]
    force: bool,
    /// Threads that compute [default: one per core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

const EXAMPLES: &str = "Examples:
  rullama merge gemma4:e2b --adapter my-lora merged.gguf
  rullama merge my-tuned-model merged.gguf
  rullama merge e2b-bf16.gguf --adapter style:0.5 --adapter facts.gguf merged.gguf --type q4_k_m";

pub fn run(arguments: &Arguments) -> Result<()> {
    let threads = arguments.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    let located = model::locate(&arguments.model)?;
    result_file::check(&arguments.output, arguments.force, &located)?;
    let mut adapters: Vec<Scaled> = Vec::new();
    for (path, scale) in adapters::all(&located, &arguments.adapter) {
        let opened = adapters::open(path)?;
        result_file::check_against(&arguments.output, arguments.force, &opened.sources)?;
        adapters.push((Arc::new(opened.adapter), scale));
    }
    if adapters.is_empty() {
        return Err(usage("there is no adapter to merge: name one with --adapter"));
    }
    interrupt::install();
    let gguf = model::header(&arguments.model, &located)?;
    let plan = merge::plan(&gguf, &adapters, arguments.scheme)?;
    let total = plan.tensors.iter().map(|tensor| tensor.tensor.bytes()).sum();
    let mut progress = Progress::new();
    let mut show = |done: u64, name: &str| progress.bytes(name, done, total);
    let output = Output { path: &arguments.output, force: arguments.force, scheme: arguments.scheme, threads };
    quantize::write(located.source.as_ref(), &gguf.metadata, &plan.tensors, &output, &mut show)?;
    progress.clear();
    summary(&plan, arguments)
}

fn summary(plan: &Plan, arguments: &Arguments) -> Result<()> {
    for (name, count) in &plan.replaced {
        terminal::tell_line(format_args!("note: {count} tensors in {name} are written in Q8_0, since {name} can only be read"));
    }
    if plan.untied {
        terminal::tell_line("note: the head is written apart from the embedding (output.weight), since an adapter is on one of the two");
    }
    let bytes = plan.tensors.iter().map(quantize::Planned::bytes).sum();
    let (changed, all) = (plan.changed, plan.tensors.len());
    let out = arguments.output.display();
    writeln!(terminal::stdout(), "{out} is written: {changed} of {all} tensors changed, {}.", table::bytes(bytes))?;
    Ok(())
}
