//! `rullama`: Gemma 4 on this machine's GPU, from the command line.
//!
//! One module per command under [`commands`]; each has a `run` that takes its parsed arguments.
//! Only this package reads environment variables ([`environment`]) and decides what is printed.

mod adapters;
mod commands;
mod environment;
mod error;
mod input;
mod interrupt;
mod load;
mod measured;
mod media;
mod merge;
mod model;
mod quantize;
mod result_file;
mod sampling;
mod serve;
mod table;
mod terminal;
mod training;
mod video;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Gemma 4 on your own GPU: chat, inspect, convert and serve models in GGUF form.
///
/// MODEL is the name of a model that Ollama has on this machine (gemma4:e2b), a path, an http(s)
/// address of a .gguf file, or `embedded` for the small model inside this program.
#[derive(Parser)]
#[command(name = "rullama", version, long_version = concat!(env!("CARGO_PKG_VERSION"), " (", env!("RULLAMA_COMMIT"), ")"))]
#[command(after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Examples:
  rullama run gemma4:e2b              a conversation
  rullama list                        what is on this machine
  rullama show gemma4:e2b             what is in a model, and whether it fits here
  rullama serve --open                the page, in the browser
  rullama quantize big.gguf small.gguf --type q4_k_m

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.";

#[derive(Subcommand)]
enum Command {
    Run(commands::run::Arguments),
    List(commands::list::Arguments),
    Show(commands::show::Arguments),
    Tokenize(commands::tokenize::Arguments),
    Render(commands::render::Arguments),
    Parse(commands::parse::Arguments),
    Quantize(commands::quantize::Arguments),
    Adapter(commands::adapter::Arguments),
    Merge(commands::merge::Arguments),
    Serve(commands::serve::Arguments),
    Embed(Box<commands::embed::Arguments>),
    Eval(commands::eval::Arguments),
    Score(commands::score::Arguments),
    Train(Box<commands::train::Arguments>),
    Bench(commands::bench::Arguments),
    Doctor(commands::doctor::Arguments),
}

fn main() -> ExitCode {
    environment::without_compositor();
    let result = match Cli::parse().command {
        Command::Run(arguments) => commands::run::run(&arguments),
        Command::List(arguments) => commands::list::run(&arguments),
        Command::Show(arguments) => commands::show::run(&arguments),
        Command::Tokenize(arguments) => commands::tokenize::run(&arguments),
        Command::Render(arguments) => commands::render::run(&arguments),
        Command::Parse(arguments) => commands::parse::run(&arguments),
        Command::Quantize(arguments) => commands::quantize::run(&arguments),
        Command::Adapter(arguments) => commands::adapter::run(&arguments),
        Command::Merge(arguments) => commands::merge::run(&arguments),
        Command::Serve(arguments) => commands::serve::run(&arguments),
        Command::Embed(arguments) => commands::embed::run(&arguments),
        Command::Eval(arguments) => commands::eval::run(&arguments),
        Command::Score(arguments) => commands::score::run(&arguments),
        Command::Train(arguments) => commands::train::run(&arguments),
        Command::Bench(arguments) => commands::bench::run(&arguments),
        Command::Doctor(arguments) => commands::doctor::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error::report(&error),
    }
}
