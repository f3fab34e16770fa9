use crate::quantize::{self, Output, Override, Planned, Scheme};
use crate::table::{self, Table};
use crate::terminal::{self, Progress};
use crate::{interrupt, model, result_file};
use anyhow::Result;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

/// Write a model in another, smaller format
///
/// Matrices are decoded and encoded piece by piece, so a 60 GB file needs little memory. Norms and
/// other vectors, the vision and audio towers and the per-layer embeddings keep their type, as in the
/// files that Ollama publishes; `--tensor-type` makes exceptions. The result gets its name when it is
/// complete: a run that is cut off leaves nothing behind.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The model to read: a path, a name from Ollama's store or an address
    #[arg(value_name = "IN")]
    input: OsString,
    /// The file to write
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// A published mix (q4_k_m, q4_k_s, q4_0, q8_0, f16, bf16, f32) or one type for all matrices (q6_k, q5_k, ...)
    #[arg(long = "type", short = 't', value_parser = Scheme::parse, value_name = "TYPE")]
    scheme: Scheme,
    /// Exceptions: tensors whose name contains PATTERN (with `*`: whose whole name matches) get TYPE, or `keep` theirs; the last that matches wins
    #[arg(long, value_parser = Override::parse, value_name = "PATTERN=TYPE")]
    tensor_type: Vec<Override>,
    /// Overwrite OUT if it exists
    #[arg(long)]
    force: bool,
    /// Threads that encode [default: one per core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

const EXAMPLES: &str = "Examples:
  rullama quantize e2b-bf16.gguf e2b-q4.gguf --type q4_k_m
  rullama quantize gemma4:e2b-it-bf16 e2b.gguf --type q8_0 --tensor-type per_layer_token_embd=q4_0
  rullama quantize in.gguf out.gguf -t q4_k_m --tensor-type 'v.*=q8_0' --tensor-type '*attn_v*=q6_k'";

pub fn run(arguments: &Arguments) -> Result<()> {
    let threads = arguments.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    let located = model::locate(&arguments.input)?;
    located.refuse_adapters()?;
    result_file::check(&arguments.output, arguments.force || arguments.dry_run, &located)?;
    interrupt::install();
    let gguf = model::header(&arguments.input, &located)?;
    let planned = quantize::plan(&gguf, arguments.scheme, &arguments.tensor_type)?;
    warn(&planned);
    if !arguments.dry_run {
        let total = planned.iter().map(|tensor| tensor.tensor.bytes()).sum();
        let mut progress = Progress::new();
        let mut show = |done: u64, name: &str| progress.bytes(name, done, total);
        let output = Output { path: &arguments.output, force: arguments.force, scheme: Some(arguments.scheme), threads };
        quantize::write(located.source.as_ref(), &gguf.metadata, &planned, &output, &mut show)?;
    }
    summary(&planned, arguments)
}

/// Tells of losses that nobody may have meant.
fn warn(planned: &[Planned]) {
    let again =
        planned.iter().filter(|tensor| tensor.target.is_some_and(|to| to.block_len() > 1) && tensor.tensor.ggml_type().block_len() > 1);
    let again = again.count();
    if again > 0 {
        terminal::tell_line(format_args!(
            "note: {again} tensors are quantised already; quantising them again loses more than starting from F16 or BF16"
        ));
    }
}

fn summary(planned: &[Planned], arguments: &Arguments) -> Result<()> {
    let mut groups: BTreeMap<(&str, &str), (u64, u64, u64)> = BTreeMap::new();
    let (mut before, mut after) = (0, 0);
    for tensor in planned {
        let sums = groups.entry((tensor.tensor.ggml_type().name(), tensor.ggml_type().name())).or_default();
        *sums = (sums.0 + 1, sums.1 + tensor.tensor.bytes(), sums.2 + tensor.bytes());
        (before, after) = (before + tensor.tensor.bytes(), after + tensor.bytes());
    }
    let mut table = Table::new(&["from", "to", ">tensors", ">before", ">after"]);
    for ((from, to), (tensors, before, after)) in groups {
        table.row([from.to_owned(), to.to_owned(), tensors.to_string(), table::bytes(before), table::bytes(after)]);
    }
    table.row(["total".to_owned(), String::new(), planned.len().to_string(), table::bytes(before), table::bytes(after)]);
    let mut out = terminal::stdout();
    out.write_all(table.render().as_bytes())?;
    let verb = if arguments.dry_run { "would be" } else { "is" };
    let share = 100.0 * after as f64 / (before as f64).max(1.0);
    writeln!(out, "{} {verb} {} ({share:.0} % of the source).", arguments.output.display(), arguments.scheme.label())?;
    Ok(())
}
