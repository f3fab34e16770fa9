use crate::error::{Interrupted, usage};
use crate::load::{self, EmbedderArguments};
use crate::{input, interrupt, model, result_file, terminal};
use anyhow::{Context, Result, bail};
use rullama::{Cancel, EmbedOptions, EmbedPrompt, Embeddings, Error};
use rullama_source::gguf::write::FileSink;
use serde::Serialize;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Turn texts into embeddings: vectors whose product tells how alike the texts are
///
/// Each line of standard input, or of the files, is a text. Vectors have length 1. By default a line of numbers is printed for each;
/// a note tells of texts that were cut to the model's context.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The embedding model, such as embeddinggemma
    model: OsString,
    /// Files with a text a line; `-` is standard input, which is read where there are none
    files: Vec<PathBuf>,
    /// What the texts are for, which the model is told before each
    #[arg(long, value_name = "NAME", default_value = "none", value_parser = prompt_names())]
    prompt: String,
    /// Keep the first N values of each, normalised anew; models are trained for some lengths, EmbeddingGemma for 768, 512, 256 and 128
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    dims: Option<u32>,
    /// Refuse texts that are longer than the context, instead of cutting them
    #[arg(long)]
    no_truncate: bool,
    /// Print JSON: model, dims, embeddings, tokens of each text, and the numbers of those that were cut, from 0
    #[arg(long, conflicts_with = "npy")]
    json: bool,
    /// Write a NumPy file of float32 [texts, dims]
    #[arg(long, value_name = "FILE")]
    npy: Option<PathBuf>,
    /// Overwrite the file if it exists
    #[arg(long, requires = "npy")]
    force: bool,
    #[command(flatten)]
    load: EmbedderArguments,
}

const EXAMPLES: &str = "Examples:
  rullama embed embeddinggemma --prompt document notes.txt --npy notes.npy
  echo 'how is bread made?' | rullama embed embeddinggemma --prompt query --dims 256 --json";

fn prompt_names() -> clap::builder::PossibleValuesParser {
    EmbedPrompt::ALL.map(|(name, _)| name).into()
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let located = model::locate(&arguments.model)?;
    located.refuse_adapters()?;
    let sink = arguments.npy.as_deref().map(|out| create(arguments, out, &located)).transpose()?;
    let texts = texts(&arguments.files)?;
    let lines: Vec<&str> = texts.iter().flat_map(|text| text.lines()).collect();
    if lines.is_empty() {
        return Err(usage("there is no text: give a line for each, on standard input or in files"));
    }
    let cancel = Cancel::new();
    let embedder = load::load_embedder(&arguments.model, &located, &arguments.load, &cancel)?;
    let options = EmbedOptions { prompt: EmbedPrompt::named(&arguments.prompt)?, dims: arguments.dims, truncate: !arguments.no_truncate };
    let embeddings = match pollster::block_on(embedder.embed(&lines, &options, &cancel)) {
        Err(Error::Cancelled) => return Err(Interrupted.into()),
        Err(error @ Error::InvalidArgument { .. }) => return Err(usage(format!("--dims: {error}"))),
        other => other?,
    };
    interrupt::check()?;
    note_cut(&embeddings, embedder.info().context);
    match sink {
        Some(sink) => write_npy(sink, &embeddings),
        None => print(arguments, &embedder.info().name, &embeddings),
    }
}

fn create(arguments: &Arguments, out: &Path, located: &model::Located) -> Result<FileSink> {
    result_file::check(out, arguments.force, located).context("--npy")?;
    for file in &arguments.files {
        let same = |a: &Path, b: &Path| a.canonicalize().ok().zip(b.canonicalize().ok()).is_some_and(|(a, b)| a == b);
        if same(file, out) {
            bail!("--npy: {} is read. Choose another name for the result.", out.display());
        }
    }
    Ok(FileSink::create(out, arguments.force)?)
}

/// What is read: the files, or standard input.
fn texts(files: &[PathBuf]) -> Result<Vec<String>> {
    if files.is_empty() {
        return Ok(vec![input::stdin()?]);
    }
    files.iter().map(|file| if file.as_os_str() == "-" { input::stdin() } else { input::file(file) }).collect()
}

fn note_cut(embeddings: &Embeddings, context: u32) {
    if embeddings.truncated.is_empty() {
        return;
    }
    let shown: Vec<String> = embeddings.truncated.iter().take(5).map(|place| (place + 1).to_string()).collect();
    let more = if embeddings.truncated.len() > shown.len() { ", ..." } else { "" };
    terminal::tell_line(format_args!(
        "note: {} of {} texts are longer than the {context} tokens that the model reads, and were cut: {}{more}",
        embeddings.truncated.len(),
        embeddings.vectors.len(),
        shown.join(", ")
    ));
}

/// What `--json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    model: &'a str,
    dims: u32,
    embeddings: &'a [Vec<f32>],
    tokens: &'a [u32],
    truncated: &'a [usize],
}

fn print(arguments: &Arguments, name: &str, embeddings: &Embeddings) -> Result<()> {
    let mut out = terminal::stdout();
    if arguments.json {
        let Embeddings { dims, vectors, tokens, truncated } = embeddings;
        let shown = Shown { model: name, dims: *dims, embeddings: vectors, tokens, truncated };
        writeln!(out, "{}", serde_json::to_string(&shown)?)?;
        return Ok(());
    }
    for vector in &embeddings.vectors {
        let line: Vec<String> = vector.iter().map(f32::to_string).collect();
        writeln!(out, "{}", line.join(" "))?;
    }
    Ok(())
}

/// NumPy's format 1.0: a magic, the length of a header that is padded to 64 bytes, then the values.
///
/// Source: numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
fn write_npy(mut sink: FileSink, embeddings: &Embeddings) -> Result<()> {
    let shape = format!("({}, {})", embeddings.vectors.len(), embeddings.dims);
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    // Magic, version and length are 10 bytes; the header ends with a newline.
    let padding = (10 + header.len() + 1).next_multiple_of(64) - (10 + header.len() + 1);
    header.push_str(&" ".repeat(padding));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len())?.to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(embeddings.vectors.iter().flatten().flat_map(|value| value.to_le_bytes()));
    sink.write_all(&bytes).context("the file cannot be written")?;
    sink.publish()?;
    Ok(())
}
