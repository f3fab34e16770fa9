//! `cargo xtask test`: every test, one step after the other, with a summary that counts them.

mod fuzz;
mod pypi;
mod supply;

use super::{check, setup, web};
use crate::summary::{self, Counts};
use crate::workspace::{self, WASM};
use crate::{process, workspace::root};
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

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
}

const fn step(name: &'static str, group: Group, quick: bool, run: fn(&Arguments) -> Result<Outcome>) -> Step {
    Step { name, group, quick, run }
}

/// Whether the tests' longer parts run, too.
static FULL: AtomicBool = AtomicBool::new(false);

/// In the order of what is found fastest.
const STEPS: [Step; 22] = [
    step("format", Group::Style, true, format),
    step("architecture and licences", Group::Style, true, architecture),
    step("cargo deny", Group::Style, true, |_| supply::deny()),
    step("advisories, crates", Group::Style, false, |_| supply::advisories()),
    step("advisories, npm", Group::Style, false, |_| supply::npm_audit()),
    step("clippy", Group::Style, false, clippy),
    step("clippy, wasm", Group::Style, false, clippy_wasm),
    step("developer commands", Group::Rust, true, developer_commands),
    step("crates", Group::Rust, true, crates),
    step("fuzz targets", Group::Rust, false, |_| fuzz::run()),
    step("TypeScript", Group::Browser, false, |_| npm("check", false)),
    step("web packages", Group::Browser, false, |_| npm("test:unit", true)),
    step("documentation", Group::Browser, false, documentation),
    step("page with a fake engine", Group::Browser, false, |_| npm("test:fake", true)),
    step("page and wasm, as shipped", Group::Browser, false, shipped),
    step("page in Chromium", Group::Browser, false, |_| npm("test:page", true)),
    step("package in bundlers", Group::Browser, false, |_| npm("test:bundlers", true)),
    step("training in Chromium", Group::Browser, false, |_| npm("test:tune", true)),
    step("right answers in Chromium", Group::Browser, false, |_| npm("test:score", true)),
    step("Chromium against native", Group::Browser, false, chromium_against_native),
    step("programs of others", Group::Browser, false, clients),
    step("operations in Chromium", Group::Browser, false, |_| npm("test:cases", true)),
];

/// With `--full` alone.
const FULL_STEP: Step = step("clients from PyPI", Group::Browser, false, pypi_clients);

/// Runs the steps, all of them whatever fails; an error when one did.
pub fn run(arguments: &Arguments) -> Result<()> {
    setup::run(setup::Need::Tests)?;
    let wanted = |step: &&Step| (step.quick || !arguments.quick) && arguments.only.is_none_or(|group| group == step.group);
    FULL.store(arguments.full, Ordering::Relaxed);
    let mut rows = Vec::new();
    for step in STEPS.iter().chain(arguments.full.then_some(&FULL_STEP)).filter(wanted) {
        println!("\n== {}", step.name);
        let start = Instant::now();
        let outcome = (step.run)(arguments).unwrap_or_else(|error| {
            println!("error: {error:#}");
            Outcome::Check(false)
        });
        rows.push((step.name, counts(&outcome), start.elapsed(), outcome));
    }
    report(&rows)
}

/// A failed runner that counted no failure (a crash, a compile error) counts as one, and so does one
/// that ran no test.
fn counts(outcome: &Outcome) -> Counts {
    match *outcome {
        Outcome::Check(true) => Counts::PASSED,
        Outcome::Check(false) => Counts::FAILED,
        Outcome::Skipped(_) => Counts::SKIPPED,
        Outcome::Tests(success, mut counts, _) => {
            if counts.failed == 0 && (!success || counts.total() == 0) {
                counts += Counts::FAILED;
            }
            counts
        }
    }
}

fn report(rows: &[(&str, Counts, Duration, Outcome)]) -> Result<()> {
    let mut sum = Counts::default();
    println!("\n== summary");
    for (name, counts, time, outcome) in rows {
        let (word, note) = match outcome {
            Outcome::Skipped(why) => ("skipped", *why),
            _ if counts.failed == 0 && counts.passed == 0 => ("not run", ""),
            _ if counts.failed > 0 => ("FAILED", ""),
            _ => ("ok", ""),
        };
        println!("{word:<8} {name:<26} {:<36} {:>7.1} s  {note}", counts.text(), time.as_secs_f32());
        sum += *counts;
    }
    for (reason, tests) in reasons(rows) {
        println!("not run  {reason}: {}", tests.join(", "));
    }
    // the closing line that tools read: nothing else on it
    println!("\n{}", sum.text());
    if sum.failed > 0 {
        bail!("{} tests or steps failed; the output above shows each", sum.failed);
    }
    Ok(())
}

/// What was missing, each with the tests that were not run for it.
fn reasons<'a>(rows: &'a [(&str, Counts, Duration, Outcome)]) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (_, _, _, outcome) in rows {
        if let Outcome::Tests(_, _, not_run) = outcome {
            not_run.iter().for_each(|(test, reason)| reasons.entry(reason).or_default().push(test));
        }
    }
    reasons
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

fn crates(arguments: &Arguments) -> Result<Outcome> {
    let mut cargo = cargo(&["test", "--workspace", "--no-fail-fast"]);
    cargo.arg("--exclude=xtask");
    if arguments.quick {
        cargo.args(["--lib", "--bins", "--tests"]);
    }
    runner(&mut cargo)
}

fn runner(command: &mut Command) -> Result<Outcome> {
    setup::test_environment(command);
    if FULL.load(Ordering::Relaxed) {
        command.env("RULLAMA_FULL", "1");
    }
    let (success, output) = process::tee(command)?;
    Ok(Outcome::Tests(success, Counts::from_output(&output), summary::not_run(&output)))
}

/// Builds it and follows its links.
fn documentation(_: &Arguments) -> Result<Outcome> {
    runner(process::npm(&workspace::root().join("web/docs")).args(["run", "--silent", "test"]))
}

/// After the steps that need a page for development: both lie in the same place.
fn shipped(_: &Arguments) -> Result<Outcome> {
    web::run(&web::Arguments { dev: false, cases: false })?;
    web::cases_wasm()?;
    Ok(Outcome::Check(true))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_counts() {
        let two = Counts { passed: 2, ..Counts::default() };
        let failed = |outcome: Outcome| counts(&outcome).failed;
        assert_eq!(failed(Outcome::Check(true)), 0);
        assert_eq!(failed(Outcome::Check(false)), 1);
        assert_eq!(failed(Outcome::Tests(true, two, vec![])), 0);
        assert_eq!(failed(Outcome::Tests(false, two, vec![])), 1);
        assert_eq!(failed(Outcome::Tests(false, Counts::FAILED, vec![])), 1);
        assert_eq!(failed(Outcome::Tests(true, Counts::default(), vec![])), 1);
    }

    #[test]
    fn reasons_are_told_once() {
        let pair = |test: &str, why: &str| (test.to_owned(), why.to_owned());
        let row = |not_run| ("step", Counts::SKIPPED, Duration::ZERO, Outcome::Tests(true, Counts::SKIPPED, not_run));
        let rows = [row(vec![pair("a", "no adapter"), pair("b", "no file")]), row(vec![pair("c", "no adapter")])];
        let told: Vec<_> = reasons(&rows).into_iter().collect();
        assert_eq!(told, [("no adapter", vec!["a", "c"]), ("no file", vec!["b"])]);
    }

    #[test]
    fn a_failure_fails_the_command() {
        let row = |counts| ("step", counts, Duration::ZERO, Outcome::Check(true));
        assert!(report(&[row(Counts::PASSED), row(Counts::FAILED)]).is_err());
        assert!(report(&[row(Counts::PASSED), row(Counts::SKIPPED)]).is_ok());
    }
}
