//! The developer commands of rullama: `cargo xtask <command>`.
//!
//! Each command is a module of [`commands`]; [`rules`] holds what `check` enforces, as pure functions
//! with tests; [`process`], [`workspace`] and [`summary`] are shared by the commands.

mod commands;
mod process;
mod rules;
mod summary;
mod workspace;

use clap::{Parser, Subcommand};
use commands::{check, docs, figures, run, setup, test, web};
use std::process::ExitCode;

/// Everything one does with this repository, one command each.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring what is missing: wasm target, Chromium, a software Vulkan driver, a C++ compiler, cargo-deny, npm packages
    Setup,
    /// Build everything, serve the page on this machine and open it
    Run(run::Arguments),
    /// Run every test; ends with `N passed, N failed`, and `N skipped` where something was missing
    Test(test::Arguments),
    /// Build the WebAssembly engine, its bindings and the web packages
    Web(web::Arguments),
    /// Build the documentation as a site, which `rullama serve` has under /docs
    Docs,
    /// Make the table of README.md and the curves from the records under benchmarks/
    Figures,
    /// Check the arrows between crates, the invariants and the licences
    Check,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Setup => setup::run(setup::Need::Tests),
        Command::Run(arguments) => run::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Web(arguments) => setup::run(setup::Need::Build).and_then(|()| web::run(&arguments)),
        Command::Docs => docs::run(),
        Command::Figures => figures::run(),
        Command::Check => check::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
