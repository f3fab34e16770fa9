use crate::error::usage;
use crate::load::{self, LoadArguments};
use crate::sampling::{check_ids, token_id};
use crate::{interrupt, model, result_file};
use anyhow::{Context, Result, bail};
use rullama::{Cancel, Engine, Evaluation};
use rullama_source::gguf::write::{FileSink, WriteError};
use safetensors::tensor::{Dtype, TensorView, serialize};
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

/// Write a model's logits and hidden states, to compare with other programs
///
/// Computes every layer for every token, from unfused operations. The file holds `logits` [tokens,
/// vocabulary], `hidden.embed_scaled`, `hidden.layer_0` ... and `hidden.final_norm` [tokens, width] as
/// f32, and with --greedy `greedy_ids` as i32: the likeliest continuation, through end tokens.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  rullama eval model.gguf --ids 2,105,2364 --out out.safetensors --kv f32 --greedy 64")]
pub struct Arguments {
    /// The model
    model: OsString,
    /// The token ids; nothing is added to them
    #[arg(long, value_delimiter = ',', value_parser = token_id, value_name = "IDS", required = true)]
    ids: Vec<u32>,
    /// The safetensors file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Overwrite the file if it exists
    #[arg(long)]
    force: bool,
    /// Compute on the CPU, from the definitions: slow
    #[arg(long)]
    oracle: bool,
    /// Also continue by the N likeliest tokens
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    greedy: Option<u32>,
    #[command(flatten)]
    load: LoadArguments,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let located = model::locate(&arguments.model)?;
    result_file::check(&arguments.out, arguments.force, &located).map_err(|error| match error.downcast_ref() {
        Some(WriteError::NotAFile { .. }) => usage(format!("--out: {error}")),
        _ => error.context("--out"),
    })?;
    let sink = FileSink::create(&arguments.out, arguments.force)?;
    let cancel = Cancel::new();
    let needed = arguments.ids.len() as u64 + u64::from(arguments.greedy.unwrap_or(0));
    let least = u32::try_from(needed).unwrap_or(u32::MAX);
    let engine = load::load_located(&arguments.model, &located, &arguments.load, Some(least), &cancel)?;
    // Nothing of an evaluation is worth keeping, so Ctrl-C need not wait for its end.
    interrupt::on_first(|| interrupt::end());
    interrupt::check()?;
    check_ids(&arguments.ids, engine.info().vocab)?;
    if needed > u64::from(engine.info().context) {
        bail!("--ids and --greedy need a context of {needed} tokens, it has {}. Give fewer, or a larger --ctx.", engine.info().context);
    }
    let evaluation = if arguments.oracle {
        pollster::block_on(engine.evaluate_on_cpu(&arguments.ids))?
    } else {
        pollster::block_on(async { engine.session().await?.evaluate(&arguments.ids).await })?
    };
    let greedy = match arguments.greedy {
        None => None,
        Some(count) if arguments.oracle => Some(greedy_on_cpu(&engine, &arguments.ids, &evaluation, count)?),
        Some(count) => Some(pollster::block_on(async { engine.session().await?.greedy(&arguments.ids, count).await })?),
    };
    if let (Some(ids), Some(count)) = (&greedy, arguments.greedy)
        && ids.len() != count as usize
    {
        bail!("only {} of {count} tokens were continued. Give a larger --ctx.", ids.len());
    }
    write(sink, &evaluation, greedy.as_deref())
}

/// The likeliest continuation, each token from an evaluation of everything before it.
fn greedy_on_cpu(engine: &Engine, ids: &[u32], first: &Evaluation, count: u32) -> Result<Vec<u32>> {
    let mut all = ids.to_vec();
    let mut last = likeliest(first)?;
    for _ in 1..count {
        all.push(last);
        last = likeliest(&pollster::block_on(engine.evaluate_on_cpu(&all))?)?;
    }
    all.push(last);
    Ok(all.split_off(ids.len()))
}

/// The id of the largest logit of the last token; the lowest of equals.
fn likeliest(evaluation: &Evaluation) -> Result<u32> {
    let logits = evaluation.row("logits", evaluation.tokens - 1).context("the evaluation has no logits")?;
    if let Some(bad) = logits.iter().find(|value| value.is_nan()) {
        bail!("the logits hold {bad}. Verify the file with `rullama show --verify`.");
    }
    let best = logits.iter().enumerate().fold(0, |best, (i, value)| if *value > logits[best] { i } else { best });
    Ok(best as u32)
}

/// A tensor to write: name, type, shape, little-endian bytes.
type Named = (String, Dtype, Vec<usize>, Vec<u8>);

fn write(mut sink: FileSink, evaluation: &Evaluation, greedy: Option<&[u32]>) -> Result<()> {
    let mut tensors: Vec<Named> = Vec::new();
    for (name, values) in &evaluation.matrices {
        let name = if name == "logits" { name.clone() } else { format!("hidden.{name}") };
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        tensors.push((name, Dtype::F32, vec![evaluation.tokens, values.len() / evaluation.tokens.max(1)], bytes));
    }
    if let Some(ids) = greedy {
        tensors.push(("greedy_ids".to_owned(), Dtype::I32, vec![ids.len()], ids.iter().flat_map(|id| id.to_le_bytes()).collect()));
    }
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?)));
    let views: Vec<(&str, TensorView<'_>)> = views.collect::<Result<_>>()?;
    let file = serialize(views, None)?;
    sink.write_all(&file).context("the --out file cannot be written")?;
    sink.publish()?;
    Ok(())
}
