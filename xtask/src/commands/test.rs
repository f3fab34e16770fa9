//! `cargo xtask test`: every test, in steps of which two run at a time, with a summary that counts them.

mod fuzz;
mod order;
mod pypi;
mod report;
mod supply;

use super::{check, setup, web};
use crate::summary::{self, Counts};
use crate::workspace::{self, WASM};
use crate::{process, workspace::root};
use anyhow::{Context, Result};
use report::Row;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

#[derive(clap::Args)]
pub struct Arguments {
    /// Only what is quick: no clippy, no documentation examples, no advisories, no fuzz targets, nothing in the browser
    #[arg(long)]
    quick: bool,
    /// Only one group of steps
    #[arg(long, value_enum)]
    only: Option<Group>,
    /// Also what takes long or installs much: longer curves, Next and Dawn, the clients from PyPI
    #[arg(long, conflicts_with = "quick")]
    full: bool,
    /// Steps at a time; with one the output is shown as it comes
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Runs a step alone, for a process that runs several
    #[arg(long, hide = true, requires = "result")]
    step: Option<String>,
    /// Where that process reads what came of it
    #[arg(long, hide = true, requires = "step")]
    result: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Group {
    /// Formatting, lints, architecture, licences
    Style,
    /// The crates' tests on this machine, and a minute of the fuzz targets
    Rust,
    /// The wasm, the web packages' tests, and the page in Chromium
    Browser,
}

impl Group {
    /// As `--only` takes it.
    fn word(self) -> &'static str {
        match self {
            Group::Style => "style",
            Group::Rust => "rust",
            Group::Browser => "browser",
        }
    }
}

/// What a step came to.
enum Outcome {
    /// One check without a count of its own.
    Check(bool),
    /// A test runner: whether it succeeded, what it counted, and which tests it did not run and why.
    Tests(bool, Counts, Vec<(String, String)>),
    Skipped(&'static str),
}

struct Step {
    name: &'static str,
    group: Group,
    quick: bool,
    run: fn(&Arguments) -> Result<Outcome>,
    /// Steps that must have ended before, where they run at all: two would wait for one lock, or one reads what the other makes.
    after: &'static [&'static str],
    /// It only compiles: a step beside it, which waits for a browser and not for ever, comes first.
    gives_way: bool,
}

const fn step(name: &'static str, group: Group, quick: bool, run: fn(&Arguments) -> Result<Outcome>) -> Step {
    Step { name, group, quick, run, after: &[], gives_way: false }
}

impl Step {
    const fn after(self, after: &'static [&'static str]) -> Step {
        Step { after, ..self }
    }

    const fn gives_way(self) -> Step {
        Step { gives_way: true, ..self }
    }
}

/// Whether the tests' longer parts run, too.
static FULL: AtomicBool = AtomicBool::new(false);

/// In the order of what is found fastest. Cargo's own steps share a folder and its lock; the page for development and the one that
/// ships lie in the same place.
const STEPS: [Step; 23] = [
    step("format", Group::Style, true, format),
    step("architecture and licences", Group::Style, true, architecture),
    step("cargo deny", Group::Style, true, |_| supply::deny()),
    step("advisories, crates", Group::Style, false, |_| supply::advisories()).after(&["cargo deny"]),
    step("advisories, npm", Group::Style, false, |_| supply::npm_audit()),
    step("clippy", Group::Style, false, clippy).gives_way(),
    step("TypeScript", Group::Browser, false, |_| npm("check", false)),
    step("clippy, wasm", Group::Style, false, clippy_wasm).after(&["clippy"]).gives_way(),
    step("web packages", Group::Browser, false, |_| npm("test:unit", true)).after(&["TypeScript"]),
    step("developer commands", Group::Rust, true, developer_commands).after(&["clippy", "clippy, wasm"]),
    step("crates compile", Group::Rust, true, crates_compile).after(&["clippy", "clippy, wasm", "developer commands"]).gives_way(),
    step("crates", Group::Rust, true, crates).after(&["crates compile"]),
    step("documentation", Group::Browser, false, documentation).after(&["web packages"]),
    step("page with a fake engine", Group::Browser, false, |_| npm("test:fake", true)).after(&["web packages", "documentation"]),
    step("page and wasm, as shipped", Group::Browser, false, shipped).after(BEFORE_SHIPPED),
    step("page in Chromium", Group::Browser, false, |_| npm("test:page", true)).after(SHIPPED),
    step("training in Chromium", Group::Browser, false, |_| npm("test:tune", true)).after(SHIPPED),
    step("package in bundlers", Group::Browser, false, |_| npm("test:bundlers", true)).after(SHIPPED),
    step("right answers in Chromium", Group::Browser, false, |_| npm("test:score", true)).after(SHIPPED),
    step("Chromium against native", Group::Browser, false, chromium_against_native).after(SHIPPED_AND_CRATES),
    step("programs of others", Group::Browser, false, clients).after(SHIPPED_AND_CRATES),
    step("operations in Chromium", Group::Browser, false, operations).after(SHIPPED_AND_CRATES),
    step("fuzz targets", Group::Rust, false, |_| fuzz::run()),
];

const BEFORE_SHIPPED: &[&str] = &["TypeScript", "web packages", "documentation", "page with a fake engine"];
const SHIPPED: &[&str] = &["page and wasm, as shipped"];
const SHIPPED_AND_CRATES: &[&str] = &["page and wasm, as shipped", "crates"];

/// With `--full` alone.
const FULL_STEP: Step = step("clients from PyPI", Group::Browser, false, pypi_clients).after(SHIPPED_AND_CRATES);

/// Runs the steps, all of them whatever fails; an error when one did.
pub fn run(arguments: &Arguments) -> Result<()> {
    FULL.store(arguments.full, Ordering::Relaxed);
    let all = || STEPS.iter().chain(arguments.full.then_some(&FULL_STEP));
    if let (Some(name), Some(result)) = (&arguments.step, &arguments.result) {
        let step = all().find(|step| step.name == name).with_context(|| format!("there is no step `{name}`"))?;
        let row = here(step, arguments);
        return std::fs::write(result, row.text()).with_context(|| format!("cannot write {}", result.display()));
    }
    setup::run(setup::Need::Tests)?;
    let wanted = |step: &&Step| (step.quick || !arguments.quick) && arguments.only.is_none_or(|group| group == step.group);
    let steps: Vec<&Step> = all().filter(wanted).collect();
    let rows = if arguments.jobs > 1 {
        order::run(&steps, arguments.jobs, |step| order::apart(step, arguments))
    } else {
        let row = |step: &&Step| {
            println!("\n== {}", step.name);
            here(step, arguments)
        };
        steps.iter().map(row).collect()
    };
    report::print(&rows)
}

/// Runs a step in this process.
fn here(step: &Step, arguments: &Arguments) -> Row {
    let (start, before) = (Instant::now(), process::processor_time());
    let outcome = (step.run)(arguments).unwrap_or_else(|error| {
        println!("error: {error:#}");
        Outcome::Check(false)
    });
    let processor = process::processor_time().zip(before).and_then(|(after, before)| after.checked_sub(before));
    Row { processor, ..Row::new(step.name, outcome, start.elapsed()) }
}

fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = process::cargo();
    cargo.current_dir(root()).args(arguments);
    cargo
}

fn passes(command: &mut Command) -> Result<Outcome> {
    let (success, _) = process::tee(command)?;
    Ok(Outcome::Check(success))
}

fn format(_: &Arguments) -> Result<Outcome> {
    let outcome = passes(&mut cargo(&["fmt", "--all", "--check", "--", "-l"]));
    if matches!(outcome, Ok(Outcome::Check(false))) {
        println!("the files above are not formatted: run `cargo fmt --all`");
    }
    outcome
}

fn architecture(_: &Arguments) -> Result<Outcome> {
    check::run().map(|()| Outcome::Check(true))
}

fn clippy(_: &Arguments) -> Result<Outcome> {
    passes(&mut cargo(&["clippy", "--workspace", "--exclude=rullama-web", "--all-targets", "--", "-Dwarnings"]))
}

fn clippy_wasm(_: &Arguments) -> Result<Outcome> {
    let mut cargo = cargo(&[
        "clippy",
        "--package=rullama-web",
        "--package=rullama-grammar-web",
        "--all-features",
        "--target",
        WASM,
        "--",
        "-Dwarnings",
    ]);
    // wgpu's handles are Send natively; in a browser the same code has one thread
    passes(cargo.arg("-Aclippy::arc_with_non_send_sync"))
}

/// Apart from the crates: together cargo would unite their features and build this program's
/// dependencies a second time.
fn developer_commands(_: &Arguments) -> Result<Outcome> {
    runner(&mut cargo(&["test", "--package=xtask"]))
}

/// The crates' tests; the quick ones are those without documentation's examples.
fn crates_command(arguments: &Arguments) -> Command {
    let mut cargo = cargo(&["test", "--workspace", "--no-fail-fast", "--exclude=xtask"]);
    if arguments.quick {
        cargo.args(["--lib", "--bins", "--tests"]);
    }
    cargo
}

fn crates_compile(arguments: &Arguments) -> Result<Outcome> {
    passes(crates_command(arguments).arg("--no-run"))
}

fn crates(arguments: &Arguments) -> Result<Outcome> {
    runner(&mut crates_command(arguments))
}

fn runner(command: &mut Command) -> Result<Outcome> {
    setup::test_environment(command);
    if FULL.load(Ordering::Relaxed) {
        command.env("RULLAMA_FULL", "1");
    }
    let (success, output) = process::tee(command)?;
    let missing = summary::without_result(&output);
    if missing > 0 {
        println!("error: {missing} tests began whose results are not in the output");
    }
    Ok(Outcome::Tests(success && missing == 0, Counts::from_output(&output), summary::not_run(&output)))
}

/// Builds it and follows its links.
fn documentation(_: &Arguments) -> Result<Outcome> {
    runner(process::npm(&workspace::root().join("web/docs")).args(["run", "--silent", "test"]))
}

fn shipped(_: &Arguments) -> Result<Outcome> {
    web::run(&web::Arguments { dev: false, cases: false })?;
    Ok(Outcome::Check(true))
}

/// Its wasm takes the `dev` profile, and with it the build scripts and macros that the crates' tests have built.
fn operations(_: &Arguments) -> Result<Outcome> {
    web::cases_wasm()?;
    npm("test:cases", true)
}

fn chromium_against_native(arguments: &Arguments) -> Result<Outcome> {
    program(arguments)?;
    npm("test:native", true)
}

/// Clients of Ollama's API and of OpenAI's, against `rullama serve`.
fn clients(arguments: &Arguments) -> Result<Outcome> {
    program(arguments)?;
    npm("test:clients", true)
}

/// The same from PyPI, in an environment of their own.
fn pypi_clients(arguments: &Arguments) -> Result<Outcome> {
    program(arguments)?;
    runner(pypi::command()?.env("RULLAMA_BIN", binary()?))
}

fn binary() -> Result<PathBuf> {
    Ok(workspace::target_folder()?.join("debug").join(format!("rullama{}", std::env::consts::EXE_SUFFIX)))
}

/// The crates' tests have built the command line program; without them it is built here.
fn program(arguments: &Arguments) -> Result<()> {
    if arguments.only == Some(Group::Browser) {
        process::run(&mut cargo(&["build", "--package=rullama-cli"]))?;
    }
    Ok(())
}

/// A script of `web/package.json`.
fn npm(script: &str, counted: bool) -> Result<Outcome> {
    let web = root().join("web");
    if !web.join("package.json").is_file() {
        return Ok(Outcome::Skipped("no web packages"));
    }
    let mut npm = process::npm(&web);
    npm.args(["run", "--silent", script]);
    npm.env("RULLAMA_BIN", binary()?);
    if counted { runner(&mut npm) } else { passes(&mut npm) }
}
