mod gradients;

use crate::adapters::{AdapterArguments, Adapters};
use crate::error::usage;
use crate::load::{self, LoadArguments};
use crate::media::{self, Given, MediaArguments, Shown};
use crate::sampling::{check_ids, token_id};
use crate::{interrupt, model, result_file};
use anyhow::{Context, Result, bail};
use rullama::{Cancel, Engine, Evaluation, Sense, placeholder_runs};
use rullama_source::gguf::write::{FileSink, WriteError};
use rullama_train::AdamW;
use safetensors::tensor::{Dtype, TensorView, serialize};
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Write a model's logits and hidden states, or its gradients, to compare with other programs
///
/// With --ids computes every layer for every token, from unfused operations. The file holds `logits` [tokens,
/// vocabulary], `hidden.embed_scaled`, `hidden.layer_0` ... and `hidden.final_norm` [tokens, width] as
/// f32, and with --greedy `greedy_ids` as i32: the likeliest continuation, through end tokens.
///
/// With --image or --audio the ids hold placeholders, as many as there are soft tokens, and the file also holds for the medium N, counted
/// from 0 in the order of the flags: `patches.N` (values in 0..1 by y, x, channel) or `mel.N`, `tower.N` (before the projection) and
/// `soft_tokens.N`. A picture gets the budget that makes as many soft tokens as it has placeholders, unless --image-tokens says.
///
/// With --sequences computes the loss of tokens with a mask of those that are predicted, all as one batch, and its gradients by
/// the matrices of --adapter: `loss`, `per_token_ce.N`, `grad.KEY`, and with --optimizer-steps `loss_curve` and `after.KEY`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  rullama eval model.gguf --ids 2,105,2364 --out out.safetensors --kv f32 --greedy 64
  rullama eval model.gguf --mmproj mmproj.gguf --image cat.png --ids 2,105,... --out out.safetensors
  rullama eval model.gguf --adapter lora --sequences s.json --gradients out.safetensors --optimizer-steps 20 --lr 1e-3")]
pub struct Arguments {
    /// The model
    model: OsString,
    /// The token ids; nothing is added to them
    #[arg(long, value_delimiter = ',', value_parser = token_id, value_name = "IDS", required_unless_present = "sequences", requires = "out")]
    ids: Vec<u32>,
    /// The safetensors file to write
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Tokens to train on, as JSON: {"sequences": [{"ids": [...], "target_mask": [...]}]}
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ids", "out", "oracle", "greedy"], requires = "gradients")]
    sequences: Option<PathBuf>,
    /// The safetensors file to write gradients to
    #[arg(long, value_name = "FILE", requires = "sequences")]
    gradients: Option<PathBuf>,
    /// Also take N steps of AdamW
    #[arg(long, value_name = "N", requires = "sequences", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    optimizer_steps: Option<u32>,
    /// Learning rate
    #[arg(long, value_name = "RATE", requires = "optimizer_steps", default_value_t = AdamW::default().lr)]
    lr: f64,
    /// How slowly the running means of gradients and of their squares follow
    #[arg(long, value_name = "B1,B2", requires = "optimizer_steps", value_delimiter = ',', num_args = 1, default_values_t = [0.9, 0.999])]
    betas: Vec<f64>,
    /// Added to the root of the second mean
    #[arg(long, requires = "optimizer_steps", default_value_t = AdamW::default().eps)]
    eps: f64,
    /// Share of its value that a matrix loses a step, times the learning rate
    #[arg(long, value_name = "SHARE", requires = "optimizer_steps", default_value_t = AdamW::default().weight_decay)]
    weight_decay: f64,
    /// Overwrite the file if it exists
    #[arg(long)]
    force: bool,
    /// Compute on the CPU, from the definitions: slow
    #[arg(long, conflicts_with_all = ["adapters", "image", "audio"])]
    oracle: bool,
    /// Also continue by the N likeliest tokens
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    greedy: Option<u32>,
    #[command(flatten)]
    adapter: AdapterArguments,
    #[command(flatten)]
    media: MediaArguments,
    #[command(flatten)]
    load: LoadArguments,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let located = model::locate(&arguments.model)?;
    let (flag, out) = match (&arguments.out, &arguments.gradients) {
        (_, Some(path)) => ("--gradients", path),
        (Some(path), None) => ("--out", path),
        (None, None) => return Err(usage("give --out FILE with --ids, or --gradients FILE with --sequences")),
    };
    result_file::check(out, arguments.force, &located).map_err(|error| match error.downcast_ref() {
        Some(WriteError::NotAFile { .. }) => usage(format!("{flag}: {error}")),
        _ => error.context(flag),
    })?;
    let adapters = arguments.adapter.read(&located)?;
    let media = arguments.media.read()?;
    let sink = FileSink::create(out, arguments.force)?;
    let cancel = Cancel::new();
    let needed = arguments.ids.len() as u64 + u64::from(arguments.greedy.unwrap_or(0));
    let least = u32::try_from(needed).unwrap_or(u32::MAX);
    let engine = load::load_located(&arguments.model, &located, &arguments.load.exact_by_default(), Some(least), &cancel)?;
    // Nothing of an evaluation is worth keeping, so Ctrl-C need not wait for its end.
    interrupt::on_first(|| interrupt::end());
    interrupt::check()?;
    let tensors = match &arguments.sequences {
        Some(path) => of_gradients(arguments, &engine, path, &adapters)?,
        None => {
            arguments.media.attach(&engine, &located)?;
            of_evaluation(arguments, &engine, &adapters, media, needed)?
        }
    };
    write(sink, &tensors)
}

fn of_gradients(arguments: &Arguments, engine: &Engine, path: &Path, adapters: &Adapters) -> Result<Vec<Named>> {
    let [(adapter, scale)] = adapters.all() else {
        return Err(usage(format!("--sequences takes one --adapter, whose gradients are wanted; {} were given", adapters.all().len())));
    };
    let [beta1, beta2] = arguments.betas[..] else { return Err(usage("--betas takes two numbers: 0.9,0.999")) };
    let Arguments { lr, eps, weight_decay, .. } = *arguments;
    let adamw = AdamW { lr, betas: (beta1, beta2), eps, weight_decay, clip: None };
    adamw.check().map_err(|error| usage(error.to_string()))?;
    let steps = arguments.optimizer_steps.map(|count| gradients::Steps { count, adamw });
    let sequences = gradients::Sequences::read(path, engine.info().vocab)?;
    gradients::tensors(engine, adapter, *scale, &sequences, steps.as_ref())
}

fn of_evaluation(arguments: &Arguments, engine: &Engine, adapters: &Adapters, media: Vec<Given>, needed: u64) -> Result<Vec<Named>> {
    check_ids(&arguments.ids, engine.info().vocab)?;
    if needed > u64::from(engine.info().context) {
        bail!("--ids and --greedy need a context of {needed} tokens, it has {}. Give fewer, or a larger --ctx.", engine.info().context);
    }
    let shown = media::show(engine, &arguments.media, media, &placeholder_runs(engine, &arguments.ids))?;
    let prompt = media::prompt(engine, &arguments.ids, &shown)?;
    let evaluation = if arguments.oracle {
        pollster::block_on(engine.evaluate_on_cpu(&arguments.ids))?
    } else {
        pollster::block_on(adapters.session(engine)?.evaluate_prompt(&prompt, &Cancel::new()))?
    };
    let greedy = match arguments.greedy {
        None => None,
        Some(count) if arguments.oracle => Some(greedy_on_cpu(engine, &arguments.ids, &evaluation, count)?),
        Some(count) => Some(pollster::block_on(adapters.session(engine)?.greedy_prompt(&prompt, count))?),
    };
    if let (Some(ids), Some(count)) = (&greedy, arguments.greedy)
        && ids.len() != count as usize
    {
        bail!("only {} of {count} tokens were continued. Give a larger --ctx.", ids.len());
    }
    let mut tensors = of_media(&shown);
    for (name, values) in &evaluation.matrices {
        let name = if name == "logits" { name.clone() } else { format!("hidden.{name}") };
        tensors.push((name, Dtype::F32, vec![evaluation.tokens, values.len() / evaluation.tokens.max(1)], bytes(values)));
    }
    if let Some(ids) = greedy {
        tensors.push(("greedy_ids".to_owned(), Dtype::I32, vec![ids.len()], ids.iter().flat_map(|id| id.to_le_bytes()).collect()));
    }
    Ok(tensors)
}

/// What was read of each medium, and what its tower made of it.
fn of_media(shown: &[Shown]) -> Vec<Named> {
    let mut tensors = Vec::new();
    for (n, Shown { medium, perceived }) in shown.iter().enumerate() {
        let read = if medium.sense() == Sense::Vision { "patches" } else { "mel" };
        let mut put = |name: &str, values: &[f32], cols: u32| {
            let shape = vec![values.len() / cols.max(1) as usize, cols as usize];
            tensors.push((format!("{name}.{n}"), Dtype::F32, shape, bytes(values)));
        };
        put(read, &perceived.features.values, perceived.features.cols);
        for name in ["tower", "soft_tokens"] {
            if let Some((values, cols)) = perceived.outputs.get(name) {
                put(name, values, *cols);
            }
        }
    }
    tensors
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

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn write(mut sink: FileSink, tensors: &[Named]) -> Result<()> {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?)));
    let views: Vec<(&str, TensorView<'_>)> = views.collect::<Result<_>>()?;
    let file = serialize(views, None)?;
    sink.write_all(&file).context("the file cannot be written")?;
    sink.publish()?;
    Ok(())
}
