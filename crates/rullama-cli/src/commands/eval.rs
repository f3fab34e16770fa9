use crate::error::usage;
use crate::load::{self, LoadArguments};
use anyhow::{Context, Result, bail};
use rullama::{Cancel, Engine, Evaluation};
use safetensors::tensor::{Dtype, TensorView, serialize};
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
    model: String,
    /// The token ids; nothing is added to them
    #[arg(long, value_delimiter = ',', value_name = "IDS", required = true)]
    ids: Vec<u32>,
    /// The safetensors file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
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
    if arguments.out.is_dir() {
        return Err(usage(format!("--out: {} is a folder.", arguments.out.display())));
    }
    let cancel = Cancel::new();
    let (engine, _) = load::load(&arguments.model, &arguments.load, None, &cancel)?;
    let vocab = engine.info().vocab;
    if let Some(id) = arguments.ids.iter().find(|id| **id >= vocab) {
        return Err(usage(format!("--ids: {id} is outside the vocabulary of {vocab}.")));
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
    write(arguments, &evaluation, greedy.as_deref())
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

fn write(arguments: &Arguments, evaluation: &Evaluation, greedy: Option<&[u32]>) -> Result<()> {
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
    std::fs::write(&arguments.out, file).with_context(|| format!("{} cannot be written", arguments.out.display()))
}
