mod compare;
mod first_token;
mod media;
mod streaming;
mod train;

use crate::load::{self, LoadArguments, gigabytes};
use crate::model::{self, Located};
use crate::table::{self, Table};
use crate::terminal::{self, one_line};
use crate::training;
use anyhow::{Result, bail};
use rullama::{Cancel, Engine, ExpertStats, Finish, GenerateOptions, RowStats, Sampling, Session, Speculate, StepProfile, Summary};
use rullama_train::TrainOptions;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

/// Measure how fast a model runs here
///
/// Prefills and decodes made-up tokens several times after a warm-up, and prints medians with their
/// spread. With `--speculate` the made-up tokens repeat themselves. `--json` prints the record that benchmarks/ keeps.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  rullama bench gemma4:e2b --context 512 --prefill 512 --decode 128 --json")]
pub struct Arguments {
    /// The model
    model: OsString,
    /// Tokens before those that are decoded
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    context: u32,
    /// Tokens of the prompt whose prefill is measured
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    prefill: u32,
    /// Tokens to decode
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(2..))]
    decode: u32,
    /// Measured runs
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// The adapter's memory bandwidth in GB/s, for the share of it that decoding uses
    #[arg(long, value_name = "GB/s")]
    bandwidth: Option<f64>,
    /// Always take the likeliest token, in place of the published sampling
    #[arg(long)]
    greedy: bool,
    /// Other made-up tokens and other draws in each run: streamed rows of one are then of no use to the next
    #[arg(long)]
    fresh: bool,
    /// Also time every kernel of a decode step and of a prompt's chunk (where the adapter has timestamps)
    #[arg(long)]
    profile: bool,
    /// Also measure how long a conversation of so many tokens waits for the first token of the next answer
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(1..))]
    kept: Option<u32>,
    /// With --kept: tokens of the message that is new
    #[arg(long, value_name = "TOKENS", default_value_t = 100, requires = "kept", value_parser = clap::value_parser!(u32).range(1..))]
    new: u32,
    /// Also measure steps of training of so many tokens
    #[arg(long, value_name = "TOKENS", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(2..=131_072))]
    train: Vec<u32>,
    /// With --train: rank of the adapter
    #[arg(long, default_value_t = 16, requires = "train", value_parser = clap::value_parser!(u32).range(1..=512))]
    rank: u32,
    /// With --train: GPU memory to keep to, in GB
    #[arg(long, value_name = "GB", default_value = "8", requires = "train", value_parser = gigabytes)]
    gpu_memory: u64,
    /// With --train: type of the values that a step keeps
    #[arg(long, value_enum, default_value = "f32", requires = "train")]
    activations: training::Kept,
    /// Also print ratios to another record: one of `rullama bench --json`, or the output of `llama-bench -o json`
    #[arg(long, value_name = "PEER.json")]
    compare: Option<PathBuf>,
    /// Print the record as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    media: media::Arguments,
    #[command(flatten)]
    load: LoadArguments,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let longest = arguments.prefill.max(arguments.context.saturating_add(arguments.decode));
    let least = longest.max(arguments.kept.map_or(0, |kept| kept.saturating_add(arguments.new))).saturating_add(1);
    let shape = json!({"context": arguments.context, "prefill": arguments.prefill, "decode": arguments.decode});
    let peer = arguments.compare.as_ref().map(|path| compare::peer(path, &shape)).transpose()?;
    let cancel = Cancel::new();
    let options = TrainOptions { rank: arguments.rank, activations: arguments.activations.wanted(), ..TrainOptions::default() };
    let (engine, located) = load(arguments, &options, least, &cancel)?;
    // First, while no conversation takes memory.
    let train = train::measure(&engine, &arguments.train, &options, arguments.gpu_memory, (arguments.runs, arguments.profile))?;
    let measured = pollster::block_on(measure(arguments, &engine, &cancel))?;
    let mut record = record(arguments, &engine, &measured);
    if !train.is_empty() {
        record["train"] = train.into();
    }
    let media = media::measure(&arguments.media, &engine, &located, arguments.runs, arguments.profile)?;
    if !media.is_empty() {
        record["media"] = media.into();
    }
    if let Some(peer) = &peer {
        compare::add(&mut record, peer);
    }
    let mut out = terminal::stdout();
    if arguments.json {
        writeln!(out, "{record:#}")?;
    } else {
        out.write_all(summary(&record).as_bytes())?;
    }
    Ok(())
}

/// Loads the model, to be trained where that is measured.
fn load(arguments: &Arguments, options: &TrainOptions, least: u32, cancel: &Cancel) -> Result<(Engine, Located)> {
    let Some(most) = arguments.train.iter().max() else { return load::load(&arguments.model, &arguments.load, Some(least), cancel) };
    let located = model::locate(&arguments.model)?;
    located.refuse_adapters()?;
    let placed = training::placed(&located, &arguments.load, options, *most, Some(arguments.gpu_memory));
    Ok((load::load_located(&arguments.model, &located, &placed, Some(least.max(*most)), cancel)?, located))
}

/// Runs that compile pipelines, grow caches and measure the adapter's speed, of which a faster one is believed by halves.
const WARM_UPS: u32 = 4;

/// Speeds of each run, and what else was counted.
struct Measured {
    prefill: Vec<f64>,
    decode: Vec<f64>,
    pipelines: usize,
    gpu_bytes: u64,
    /// What streaming experts took in all prefills, and in all decodings with theirs.
    experts: Option<[ExpertStats; 2]>,
    /// The same of streamed rows.
    rows: Option<[RowStats; 2]>,
    /// Tokens that were guessed in all decodings, and those that were right.
    speculated: [u32; 2],
    /// One step each, at the end of the context.
    steps: [(&'static str, StepProfile); 2],
    /// Milliseconds of each run until an answer's first token, in a conversation of `--kept` tokens.
    first_token: Vec<f64>,
}

async fn measure(arguments: &Arguments, engine: &Engine, cancel: &Cancel) -> Result<Measured> {
    let mut session = engine.session().await?;
    let (prefill, decode, steps, speculated, first_token) = Default::default();
    let mut measured = Measured { prefill, decode, pipelines: 0, gpu_bytes: 0, experts: None, rows: None, speculated, steps, first_token };
    for round in 0..WARM_UPS + arguments.runs {
        let compiled = engine.device().pipelines();
        let before = (engine.expert_stats().await.unwrap_or_default(), engine.row_stats().await.unwrap_or_default());
        let salt = if arguments.fresh { round } else { 0 };
        let prefill = once(arguments, &mut session, (arguments.prefill, 1), salt, cancel).await?;
        let between = (engine.expert_stats().await.unwrap_or_default(), engine.row_stats().await.unwrap_or_default());
        let decode = once(arguments, &mut session, (arguments.context, arguments.decode), salt, cancel).await?;
        if round >= WARM_UPS {
            measured.prefill.push(prefill.timings.prefill_tok_s);
            measured.decode.push(decode.timings.decode_tok_s);
            let [drafted, accepted] = measured.speculated;
            measured.speculated = [drafted + decode.drafted_tokens, accepted + decode.accepted_tokens];
            if let Some(after) = engine.expert_stats().await {
                let [prefills, decodes] = measured.experts.get_or_insert_default();
                prefills.add(&between.0.since(&before.0));
                decodes.add(&after.since(&between.0));
            }
            if let Some(after) = engine.row_stats().await {
                let [prefills, decodes] = measured.rows.get_or_insert_default();
                prefills.add(&between.1.since(&before.1));
                decodes.add(&after.since(&between.1));
            }
            measured.pipelines += engine.device().pipelines() - compiled;
        }
    }
    if let Some(kept) = arguments.kept {
        measured.first_token = first_token::measure(arguments, &mut session, kept, cancel).await?;
    }
    measured.gpu_bytes = engine.memory().gpu;
    session.truncate(arguments.context).await?;
    let decode = session.profile_decode().await?;
    crate::interrupt::check()?;
    session.clear();
    measured.steps = [("decode", decode), ("prefill", session.profile_prefill(arguments.prefill).await?)];
    Ok(measured)
}

/// Tokens after which a prompt repeats itself where repetitions are what is measured.
const PERIOD: usize = 32;

/// Prefills `prompt` tokens from nothing and decodes; tokens and draws are those of `salt`.
async fn once(arguments: &Arguments, session: &mut Session, size: (u32, u32), salt: u32, cancel: &Cancel) -> Result<Summary> {
    session.clear();
    on(arguments, session, size, salt, cancel).await
}

/// The same on what the session has read of these tokens.
async fn on(arguments: &Arguments, session: &mut Session, (prompt, decode): (u32, u32), salt: u32, cancel: &Cancel) -> Result<Summary> {
    let drawn = Sampling { seed: Some(1 + u64::from(salt)), ..Sampling::default() };
    let sampling = if arguments.greedy { Sampling::greedy() } else { drawn };
    let options = GenerateOptions { sampling, max_tokens: Some(decode), ignore_eos: true, ..Default::default() };
    let mut ids = made_up(prompt, session.engine().info().vocab, session.engine().tokenizer().bos(), salt);
    if arguments.load.speculate() != Speculate::Off {
        (PERIOD + 1..ids.len()).for_each(|i| ids[i] = ids[i - PERIOD]);
    }
    let summary = session.generate(&ids, &options, cancel, &mut |_| ()).await?;
    if summary.finish == Finish::Cancelled {
        return Err(crate::error::Interrupted.into());
    }
    if summary.ids.len() != decode as usize {
        bail!("only {} of {decode} tokens were decoded. Give a larger --ctx.", summary.ids.len());
    }
    Ok(summary)
}

/// The beginning of sequence and ids that are the same in every run of one salt (a linear congruential generator).
fn made_up(count: u32, vocab: u32, bos: u32, salt: u32) -> Vec<u32> {
    let mut state = 12345u32.wrapping_add(salt.wrapping_mul(0x9e37_79b9));
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((u64::from(state) * u64::from(vocab)) >> 32) as u32
    };
    std::iter::once(bos).chain(std::iter::repeat_with(&mut next)).take(count as usize).collect()
}

/// Of tokens a second and of milliseconds, and of seconds.
const HUNDREDTHS: f64 = 100.0;
const MICROS: f64 = 1e6;

/// The median, and the least and the most, in whole parts of which `parts` are 1.
fn spread(values: &[f64], parts: f64) -> (f64, [f64; 2]) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (n, round) = (sorted.len(), |value: f64| (value * parts).round() / parts);
    let median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0;
    (round(median), [round(sorted[0]), round(sorted[n - 1])])
}

/// The record that benchmarks/ keeps; `web/bench.mjs` writes the same fields.
fn record(arguments: &Arguments, engine: &Engine, measured: &Measured) -> Value {
    let info = engine.info();
    let (prefill, decode) = (spread(&measured.prefill, HUNDREDTHS), spread(&measured.decode, HUNDREDTHS));
    let used = info.bytes_per_token as f64 * decode.0 / 1e9;
    let mut unmeasured = serde_json::Map::new();
    for key in ["wasm_peak_bytes", "wasm_grown_bytes"] {
        unmeasured.insert(key.into(), "not a browser".into());
    }
    if arguments.bandwidth.is_none() {
        unmeasured.insert("bandwidth_share".into(), "the bandwidth was not given (--bandwidth)".into());
    }
    let mut record = json!({
        "device": info.device,
        "backend": info.backend,
        "driver": info.driver,
        "commit": env!("RULLAMA_COMMIT"),
        "model": info.name,
        "ple": info.ple,
        "experts": info.experts,
        "kv": info.kv,
        "products": info.products,
        "persistent": info.persistent,
        "context": arguments.context,
        "prefill": arguments.prefill,
        "decode": arguments.decode,
        "runs": arguments.runs,
        "sampling": if arguments.greedy { "greedy" } else { "published" },
        "prefill_tok_s": prefill.0,
        "prefill_tok_s_spread": prefill.1,
        "decode_tok_s": decode.0,
        "decode_tok_s_spread": decode.1,
        "dispatches_per_token": measured.steps[0].1.dispatches,
        "bytes_per_token": info.bytes_per_token,
        "bandwidth_gb_s": used,
        "bandwidth_share": arguments.bandwidth.map(|most| used / most),
        "load_gb_s": info.loaded_bytes as f64 / info.load_seconds.max(1e-9) / 1e9,
        "wasm_peak_bytes": null,
        "wasm_grown_bytes": null,
        "gpu_bytes": measured.gpu_bytes,
        "pipelines_compiled_during_decode": measured.pipelines,
        "unmeasured": unmeasured,
    });
    streaming::add(&mut record, arguments, engine, measured);
    if let Some(kept) = arguments.kept {
        record["first_token"] = first_token::record(kept, arguments.new, &measured.first_token);
    }
    if arguments.load.speculate() != Speculate::Off {
        record["speculation"] = speculation(arguments, measured.speculated);
    }
    if arguments.profile {
        let steps = measured.steps.iter().map(|(name, step)| ((*name).to_owned(), kernels(step)));
        record["kernels"] = Value::Object(steps.collect());
    }
    record
}

/// What guessing tokens brought: of all runs, each of whose steps gives a token more than it accepts.
fn speculation(arguments: &Arguments, [drafted, accepted]: [u32; 2]) -> Value {
    let tokens = arguments.runs * (arguments.decode - 1);
    let rounded = |value: f64| (value * 1e3).round() / 1e3;
    json!({
        "speculate": arguments.load.speculate(),
        "prompt_period": PERIOD,
        "drafted": drafted,
        "accepted": accepted,
        "acceptance": rounded(f64::from(accepted) / f64::from(drafted.max(1))),
        "tokens_per_step": rounded(f64::from(tokens) / f64::from(tokens.saturating_sub(accepted).max(1))),
    })
}

/// Time and number of dispatches of each kernel in one step, the longest first.
fn kernels(step: &StepProfile) -> Value {
    let mut sums: Vec<(&str, usize, f64)> = Vec::new();
    for kernel in &step.kernels {
        match sums.iter_mut().find(|sum| sum.0 == kernel.label) {
            Some(sum) => (sum.1, sum.2) = (sum.1 + 1, sum.2 + kernel.seconds),
            None => sums.push((&kernel.label, 1, kernel.seconds)),
        }
    }
    sums.sort_by(|a, b| b.2.total_cmp(&a.2));
    sums.iter()
        .map(|(label, count, seconds)| json!({"kernel": label, "dispatches": count, "us": (seconds * 1e8).round() / 100.0}))
        .collect()
}

fn summary(record: &Value) -> String {
    let text = |key: &str| one_line(record[key].as_str().unwrap_or_default());
    let number = |key: &str| record[key].as_f64().unwrap_or_default();
    let speed = |key: &str| {
        let [least, most] = [0, 1].map(|i| record[format!("{key}_spread")][i].as_f64().unwrap_or_default());
        format!("{:.1} tokens/s ({least:.1} to {most:.1})", number(key))
    };
    let lines = [
        format!("model     {} (per-layer embeddings {}, cache {}, products {})", text("model"), text("ple"), text("kv"), text("products")),
        format!("device    {} ({}, {})", text("device"), text("backend"), text("driver")),
        format!("prefill   {} over {} tokens", speed("prefill_tok_s"), number("prefill")),
        format!("decode    {} at context {}", speed("decode_tok_s"), number("context")),
        format!("weights   {} a token, {:.1} GB/s", table::bytes(number("bytes_per_token") as u64), number("bandwidth_gb_s")),
        format!("load      {:.2} GB/s", number("load_gb_s")),
        format!("step      {} dispatches a token", number("dispatches_per_token")),
        format!("memory    {} on the GPU", table::bytes(number("gpu_bytes") as u64)),
    ];
    let mut text = lines.join("\n") + "\n";
    text.push_str(&streaming::summary(record));
    text.push_str(&first_token::summary(record));
    if let Some(took) = record.get("speculation") {
        let number = |key: &str| took[key].as_f64().unwrap_or_default();
        let (drafted, accepted, steps) = (number("drafted"), number("accepted"), number("tokens_per_step"));
        text.push_str(&format!("guessed   {drafted} tokens, of which {accepted} were right: {steps:.2} tokens a step\n"));
    }
    for step in record["train"].as_array().into_iter().flatten() {
        let number = |key: &str| step[key].as_f64().unwrap_or_default();
        let (tokens, speed, memory) = (number("tokens"), number("tok_s"), table::bytes(number("gpu_bytes") as u64));
        text.push_str(&format!("training  {speed:.0} tokens/s in steps of {tokens}, {memory} on the GPU\n"));
    }
    let media = record["media"].as_array().map_or(&[][..], Vec::as_slice);
    text.push_str(&media::summary(media));
    let of_text = record["kernels"].as_object().into_iter().flatten().map(|(step, kernels)| (step.as_str(), kernels));
    let of_media = media.iter().map(|medium| (medium["medium"].as_str().unwrap_or_default(), &medium["kernels"]));
    for (step, kernels) in of_text.chain(of_media).filter(|(_, kernels)| kernels.is_array()) {
        let mut table = Table::new(&[step, ">dispatches", ">us"]);
        for kernel in kernels.as_array().into_iter().flatten() {
            let name = kernel["kernel"].as_str().unwrap_or_default().to_owned();
            table.row([name, kernel["dispatches"].to_string(), kernel["us"].to_string()]);
        }
        text.push('\n');
        text.push_str(&table.render());
    }
    text + &compare::summary(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(spread(&[3.0, 1.0, 2.0], HUNDREDTHS), (2.0, [1.0, 3.0]));
        assert_eq!(spread(&[4.0, 1.0], HUNDREDTHS), (2.5, [1.0, 4.0]));
    }

    #[test]
    fn ids_are_of_the_vocabulary() {
        let ids = made_up(1000, 2048, 2, 0);
        assert_eq!((ids.len(), ids[0]), (1000, 2));
        assert!(ids.iter().all(|id| *id < 2048));
        assert_eq!(made_up(1000, 2048, 2, 0), ids);
        assert_ne!(made_up(1000, 2048, 2, 1), ids);
    }
}
