//! `cargo xtask run`: from a fresh clone to a page that answers.

use super::{docs, setup, web};
use crate::{process, workspace};
use anyhow::Result;

#[derive(clap::Args)]
pub struct Arguments {
    /// Port on this machine (127.0.0.1)
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Do not open the page in a browser
    #[arg(long)]
    no_open: bool,
}

/// Builds the page and the program, then serves until ctrl-C.
pub fn run(arguments: &Arguments) -> Result<()> {
    setup::run(setup::Need::Serve)?;
    // The page works without its documentation.
    if let Err(error) = docs::refresh() {
        eprintln!("note: no documentation at /docs: {error:#}");
    }
    web::run(&web::Arguments { dev: false, cases: false })?;
    let mut cargo = process::cargo();
    cargo.current_dir(workspace::root());
    cargo.args(["run", "--release", "--package=rullama-cli", "--", "serve"]);
    cargo.arg("--port").arg(arguments.port.to_string());
    cargo.args(["--web", "web/app/dist"]);
    if !arguments.no_open {
        cargo.arg("--open");
    }
    process::run(&mut cargo)
}
