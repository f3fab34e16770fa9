use super::refused;
use crate::error::usage;
use crate::load::{LoadArguments, gigabytes};
use crate::training;
use anyhow::Result;
use clap::ValueEnum;
use rullama::Engine;
use rullama_train::data::LossOn;
use rullama_train::options::{parse_layers, parse_modules};
use rullama_train::{ScheduleKind, TrainOptions};
use std::ffi::OsString;
use std::path::PathBuf;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Schedule {
    Constant,
    Linear,
    Cosine,
    Restarts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Loss {
    /// What the model writes, with the marks that end its turns
    Model,
    /// Every token
    All,
}

/// Teach a model from examples: trains a LoRA adapter over its weights as they are
///
/// DATA is JSON lines: `{"messages": [...]}` (with tools and thinking), `{"prompt", "completion"}` or `{"text"}`. The result is a PEFT
/// folder, and beside it the same adapter in GGUF form with a Modelfile for Ollama. `rullama run MODEL --adapter OUT` uses it.
/// Ctrl-C saves; --resume goes on.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  rullama train gemma4:e2b facts.jsonl --out facts
  rullama train model.gguf data.jsonl --split 0.1 --epochs 5 --rank 8 --out lora
  rullama train model.gguf data.jsonl --out lora --resume
  rullama run gemma4:e2b --adapter facts")]
pub struct Arguments {
    /// The model
    pub model: OsString,
    /// The examples, as JSON lines; `-` is standard input
    pub data: PathBuf,
    /// The folder to write the adapter to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Examples to evaluate on
    #[arg(long, value_name = "DATA", conflicts_with = "split")]
    pub eval: Option<PathBuf>,
    /// Keep this share of the examples for evaluation
    #[arg(long, value_name = "SHARE")]
    split: Option<f64>,
    /// Go on from the last checkpoint in DIR, with the same data and options [default: that of --out]
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    pub resume: Option<Option<PathBuf>>,
    /// Replace what is in --out
    #[arg(long, conflicts_with = "resume")]
    pub force: bool,
    /// Rank of the adapter's matrices
    #[arg(long, default_value_t = TrainOptions::default().rank)]
    rank: u32,
    /// The adapter's output is scaled by ALPHA / rank [default: twice the rank]
    #[arg(long)]
    alpha: Option<f64>,
    /// Linear layers to train: names as q_proj, or attention, mlp, projections, all-linear
    #[arg(long, value_name = "NAMES", default_value = "projections")]
    targets: String,
    /// Layers to train, as 20-34 or 20- [default: all]
    #[arg(long)]
    layers: Option<String>,
    /// Learning rate
    #[arg(long, value_name = "RATE", default_value_t = TrainOptions::default().lr)]
    lr: f64,
    /// How the rate moves
    #[arg(long, value_enum, default_value = "cosine")]
    schedule: Schedule,
    /// Updates in which the rate rises [default: 3 % of all]
    #[arg(long, value_name = "UPDATES")]
    warmup: Option<u64>,
    /// Times that every example is seen
    #[arg(long, default_value_t = TrainOptions::default().epochs)]
    epochs: u32,
    /// Rows of a micro-batch
    #[arg(long, default_value_t = TrainOptions::default().batch)]
    batch: u32,
    /// Micro-batches of an update [default: as many as leave 8 updates an epoch, at most 4]
    #[arg(long)]
    accumulate: Option<u32>,
    /// Longest example in tokens; a longer one is cut at its end, and said
    #[arg(long, value_name = "TOKENS", default_value_t = TrainOptions::default().max_len)]
    max_len: u32,
    /// Give each example a row of its own, in place of several short ones
    #[arg(long)]
    no_pack: bool,
    /// For the order of the examples, the split and the first values
    #[arg(long, default_value_t = TrainOptions::default().seed)]
    seed: u64,
    /// Share of the adapter's inputs that a step leaves out
    #[arg(long, value_name = "SHARE", default_value_t = TrainOptions::default().dropout)]
    dropout: f64,
    /// Share of its value that a matrix loses an update, times the rate
    #[arg(long, value_name = "SHARE", default_value_t = TrainOptions::default().weight_decay)]
    weight_decay: f64,
    /// Largest norm of all gradients together; 0 for none
    #[arg(long, value_name = "NORM", default_value_t = 1.0)]
    clip: f64,
    /// Which tokens are learnt
    #[arg(long, value_enum, default_value = "model")]
    loss_on: Loss,
    /// Updates between evaluations [default: once an epoch]
    #[arg(long, value_name = "UPDATES")]
    eval_every: Option<u32>,
    /// Stop after so many evaluations without a better loss
    #[arg(long, value_name = "EVALUATIONS")]
    patience: Option<u32>,
    /// Seconds between checkpoints
    #[arg(long, value_name = "SECONDS", default_value_t = TrainOptions::default().checkpoint_seconds)]
    checkpoint_seconds: u32,
    /// GPU memory to keep to, in GB: with `--ple auto` per-layer embeddings stay in the file where that leaves room for more of a step,
    /// and as many layers as must are computed again [default: 8 on a card, else 4]
    #[arg(long, value_name = "GB", value_parser = gigabytes)]
    pub gpu_memory: Option<u64>,
    /// Keep a step's values in f16: about half their memory, a little less exact
    #[arg(long, value_enum, default_value = "f32")]
    activations: training::Kept,
    /// Print the loss of each token of one example, by its line, and end
    #[arg(long, value_name = "LINE")]
    pub loss_per_token: Option<u32>,
    /// Let the model answer this prompt at each evaluation
    #[arg(long, value_name = "PROMPT")]
    pub sample: Vec<String>,
    /// Print one JSON object a line: each update, and last a summary
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub load: LoadArguments,
}

impl Arguments {
    /// The options, without what depends on the model.
    pub fn options(&self) -> Result<TrainOptions> {
        let options = TrainOptions {
            rank: self.rank,
            alpha: self.alpha,
            targets: parse_modules(&self.targets).map_err(refused)?,
            lr: self.lr,
            weight_decay: self.weight_decay,
            clip: (self.clip != 0.0).then_some(self.clip),
            schedule: match self.schedule {
                Schedule::Constant => ScheduleKind::Constant,
                Schedule::Linear => ScheduleKind::Linear,
                Schedule::Cosine => ScheduleKind::Cosine,
                Schedule::Restarts => ScheduleKind::CosineWithRestarts,
            },
            warmup_steps: self.warmup,
            epochs: self.epochs,
            batch: self.batch,
            accumulate: self.accumulate,
            max_len: self.max_len,
            pack: !self.no_pack,
            seed: self.seed,
            dropout: self.dropout,
            split: self.split.unwrap_or(0.0),
            eval_every: self.eval_every,
            patience: self.patience,
            checkpoint_seconds: self.checkpoint_seconds,
            loss_on: if self.loss_on == Loss::All { LossOn::All } else { LossOn::Model },
            activations: self.activations.wanted(),
            ..TrainOptions::default()
        };
        options.check().map_err(refused)?;
        if options.patience.is_some() && self.eval.is_none() && options.split == 0.0 {
            return Err(usage("--patience needs --eval or --split to judge by."));
        }
        Ok(options)
    }

    /// The same with the layers of this model.
    pub fn with_layers(&self, options: TrainOptions, engine: &Engine) -> Result<TrainOptions> {
        let count = engine.info().layers as u32;
        let layers = self.layers.as_ref().map(|text| parse_layers(text, count).map_err(refused)).transpose()?;
        Ok(TrainOptions { layers, ..options })
    }

    /// Bytes of GPU memory to keep to.
    pub fn memory(&self, engine: &Engine) -> u64 {
        training::budget(self.gpu_memory, engine.device().discrete())
    }
}
