mod census;
mod fit;
mod training;

use crate::load::Kv;
use crate::model::{self as models, Located};
use crate::table;
use crate::terminal::{self, Progress, one_line, printable};
use crate::{environment, interrupt};
use anyhow::{Result, bail};
use rullama_model::{ModelError, model};
use rullama_source::gguf::{Array, Gguf, MetadataError, Value};
use std::ffi::OsString;
use std::io::{self, Write};

/// Show what is in a model, and whether it fits here
///
/// Prints what the model is, its tensors by role and type, and the memory it takes here with its
/// caches at a context.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  rullama show gemma4:e2b --context 32768\n  rullama show gemma4:e2b --train\n  rullama show model.gguf --metadata --tensors\n  rullama show gemma4:e2b --verify"
)]
pub struct Arguments {
    /// The model
    model: OsString,
    /// Tokens of context for which memory is reckoned [default: the model's, up to 32768]
    #[arg(long, alias = "ctx", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    context: Option<u32>,
    /// Type of the keys and values in the caches
    #[arg(long, value_enum, default_value = "f16")]
    kv: Kv,
    /// Also reckon what fine-tuning with an adapter of this rank takes, by the length of the examples
    #[arg(long, value_name = "RANK", num_args = 0..=1, default_missing_value = "16")]
    train: Option<u32>,
    /// Print every metadata pair
    #[arg(long)]
    metadata: bool,
    /// Print every tensor
    #[arg(long)]
    tensors: bool,
    /// Print the template, system prompt and parameters that Ollama stores with the model
    #[arg(long)]
    template: bool,
    /// Check the file against its SHA-256 (models of Ollama's store; remembered)
    #[arg(long)]
    verify: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let (located, gguf) = models::open(&arguments.model)?;
    let mut out = terminal::stdout();
    summary(&mut out, &located, &gguf)?;
    if arguments.template {
        stored(&mut out, &located)?;
    }
    if arguments.metadata {
        writeln!(out, "\nMetadata")?;
        for (key, value) in gguf.metadata.iter() {
            writeln!(out, "  {} = {}", one_line(key), shown(value))?;
        }
    }
    writeln!(out, "\nTensors")?;
    indented(&mut out, &census::table(&gguf))?;
    if arguments.tensors {
        writeln!(out)?;
        indented(&mut out, &census::all(&gguf))?;
    }
    let read = model::open(&gguf);
    if let Ok(model) = &read
        && !model.specs().unneeded.is_empty()
    {
        writeln!(out)?;
        indented(&mut out, &census::kinds(&model.specs().unneeded))?;
    }
    writeln!(out, "\nMemory")?;
    match read {
        Ok(model) => {
            indented(&mut out, &fit::report(&*model, arguments.context, arguments.kv.wanted())?)?;
            if let Some(rank) = arguments.train {
                writeln!(out, "\nFine-tuning")?;
                indented(&mut out, &training::report(&*model, &*located.source, rank)?)?;
            }
        }
        Err(ModelError::IsEncoder { .. }) => match model::open_encoder(&gguf) {
            Ok(encoder) => writeln!(out, "  weights       {}, on the GPU; no caches", table::bytes(encoder.bytes()))?,
            Err(error) => writeln!(out, "  cannot run here: {error}")?,
        },
        Err(error) => writeln!(out, "  cannot run here: {error}")?,
    }
    if arguments.verify {
        verify(&mut out, &located)?;
    }
    Ok(())
}

fn indented(out: &mut impl Write, text: &str) -> io::Result<()> {
    text.lines().try_for_each(|line| writeln!(out, "  {line}"))
}

fn summary(out: &mut impl Write, located: &Located, gguf: &Gguf) -> Result<()> {
    let metadata = &gguf.metadata;
    let text = |key: &str| MetadataError::optional(metadata.str(key)).map(|text| text.map(one_line));
    let parameters: u64 = gguf.tensors.iter().map(|tensor| tensor.elements()).sum();
    writeln!(out, "Model")?;
    writeln!(out, "  name          {}", text("general.name")?.as_deref().unwrap_or("unnamed"))?;
    writeln!(out, "  file          {}", one_line(located.source.name()))?;
    writeln!(
        out,
        "  size          {} (GGUF version {}, {} tensors)",
        table::bytes(gguf.file_len),
        gguf.version,
        gguf.tensors.iter().count()
    )?;
    let parts = located.source.parts().len();
    if parts > 0 {
        writeln!(out, "  parts         {parts} files, joined as they are read")?;
    }
    if let Some(stored) = &located.stored {
        stored.adapters.iter().try_for_each(|blob| writeln!(out, "  adapter       {} (cannot be applied here)", blob.digest))?;
    }
    writeln!(out, "  architecture  {}", text("general.architecture")?.as_deref().unwrap_or("not given"))?;
    writeln!(out, "  parameters    {}", table::count(parameters))?;
    if let Some(licence) = text("general.license")? {
        writeln!(out, "  licence       {licence}")?;
    }
    if let Some(template) = located.stored.as_ref().and_then(|stored| stored.own_template()) {
        own_template(out, template)?;
    }
    if let Ok(model) = model::open(gguf) {
        model.describe().iter().try_for_each(|(name, text)| writeln!(out, "  {name:<13} {text}"))?;
        writeln!(out, "  {:<13} {} tokens", "context", table::count(model.facts().context.into()))?;
    }
    if let Ok(encoder) = model::open_encoder(gguf) {
        encoder.describe().iter().try_for_each(|(name, text)| writeln!(out, "  {name:<13} {text}"))?;
        writeln!(out, "  {:<13} {} tokens", "context", table::count(encoder.facts().context.into()))?;
        writeln!(out, "  {:<13} embeddings: `rullama embed`", "use")?;
    }
    if let Ok(pieces) = metadata.strings("tokenizer.ggml.tokens") {
        let merges = metadata.strings("tokenizer.ggml.merges").map_or(0, |merges| merges.len());
        writeln!(out, "  vocabulary    {} tokens, {} merges", table::count(pieces.len() as u64), table::count(merges as u64))?;
    }
    Ok(())
}

/// A template that the model came with, as far as a few lines hold it.
fn own_template(out: &mut impl Write, template: &str) -> io::Result<()> {
    const LINES: usize = 6;
    writeln!(out, "  template      its own, which is not used; prompts are rendered as Gemma 4 has them")?;
    let (lines, all) = (printable(template), template.lines().count());
    lines.lines().take(LINES).try_for_each(|line| writeln!(out, "    {line}"))?;
    if all > LINES {
        writeln!(out, "    ... ({all} lines in all; --template prints them)")?;
    }
    Ok(())
}

fn stored(out: &mut impl Write, located: &Located) -> Result<()> {
    let Some(stored) = &located.stored else {
        bail!("--template: only models of Ollama's store have these; in a file look for tokenizer.chat_template with --metadata.")
    };
    writeln!(out, "\nOllama")?;
    writeln!(out, "  name      {}", stored.name)?;
    writeln!(out, "  renderer  {}", one_line(stored.config.renderer.as_deref().unwrap_or("not given")))?;
    writeln!(out, "  params    {:?}", stored.params)?;
    for (name, text) in [("system", &stored.system), ("template (shown, not used)", &stored.template)] {
        if let Some(text) = text {
            writeln!(out, "  {name}")?;
            printable(text).lines().try_for_each(|line| writeln!(out, "    {line}"))?;
        }
    }
    Ok(())
}

/// One line for a value: the first elements of an array, the beginning of a long text.
fn shown(value: &Value) -> String {
    const ELEMENTS: usize = 8;
    fn few<T: std::fmt::Debug>(values: &[T]) -> String {
        few_of(values.iter(), values.len())
    }
    fn few_of<T: std::fmt::Debug>(values: impl Iterator<Item = T>, count: usize) -> String {
        let shown: Vec<String> = values.take(ELEMENTS).map(|value| format!("{value:?}")).collect();
        let more = if count > ELEMENTS { format!(", ... ({count} in all)") } else { String::new() };
        format!("[{}{more}]", shown.join(", "))
    }
    match value {
        Value::String(text) => {
            let short: String = text.chars().take(100).collect();
            let more = if short.len() < text.len() { format!("... ({} bytes)", text.len()) } else { String::new() };
            format!("{short:?}{more}")
        }
        Value::Array(Array::String(strings)) => few_of(strings.iter(), strings.len()),
        Value::Array(Array::U8(v)) => few(v),
        Value::Array(Array::I8(v)) => few(v),
        Value::Array(Array::U16(v)) => few(v),
        Value::Array(Array::I16(v)) => few(v),
        Value::Array(Array::U32(v)) => few(v),
        Value::Array(Array::I32(v)) => few(v),
        Value::Array(Array::F32(v)) => few(v),
        Value::Array(Array::Bool(v)) => few(v),
        Value::Array(Array::U64(v)) => few(v),
        Value::Array(Array::I64(v)) => few(v),
        Value::Array(Array::F64(v)) => few(v),
        Value::U8(v) => v.to_string(),
        Value::I8(v) => v.to_string(),
        Value::U16(v) => v.to_string(),
        Value::I16(v) => v.to_string(),
        Value::U32(v) => v.to_string(),
        Value::I32(v) => v.to_string(),
        Value::F32(v) => v.to_string(),
        Value::Bool(v) => v.to_string(),
        Value::U64(v) => v.to_string(),
        Value::I64(v) => v.to_string(),
        Value::F64(v) => v.to_string(),
    }
}

fn verify(out: &mut impl Write, located: &Located) -> Result<()> {
    let Some(stored) = &located.stored else {
        bail!("--verify: only files of Ollama's store have a known SHA-256; this one's structure is sound.")
    };
    interrupt::install();
    let cache = environment::verified();
    writeln!(out)?;
    for file in &stored.blobs {
        let mut progress = Progress::new();
        let mut show = |done, total| {
            if interrupt::requested() {
                interrupt::end();
            }
            progress.bytes("SHA-256", done, total);
        };
        let remembered = rullama_source::ollama::verify(file, cache.as_deref(), &mut show)?;
        progress.clear();
        let how = if remembered { " (checked before, unchanged since)" } else { "" };
        writeln!(out, "Verified: {} is what its name says{how}.", file.digest)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_texts() {
        let array = |texts: &[&str]| shown(&Value::Array(Array::String(texts.iter().copied().collect())));
        assert_eq!(array(&["a]", "\x1b[2J"]), r#"["a]", "\u{1b}[2J"]"#);
        assert_eq!(array(&["]"; 9]), format!("[{}, ... (9 in all)]", [r#""]""#; 8].join(", ")));
    }
}
