//! The fuzz targets, each driven by libFuzzer from its seeds on, a minute in all.
//!
//! A stable compiler will do: what cargo-fuzz asks of a nightly one is the address sanitizer, which finds little in code without
//! `unsafe`. Panics, overflows, inputs that take long and inputs that take much memory are found without it.

use super::{Outcome, cargo};
use crate::summary::Counts;
use crate::{process, workspace};
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Seconds that the targets share.
const SECONDS: usize = 60;

/// What libFuzzer needs to see of a program: which edges were taken, and what was compared.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks";

/// Builds and runs them; each counts as one test.
pub fn run() -> Result<Outcome> {
    if !cfg!(unix) {
        return Ok(Outcome::Skipped("libFuzzer is run on Linux and macOS alone"));
    }
    let manifest = workspace::root().join("fuzz/Cargo.toml");
    let folder = workspace::target_folder()?.join("fuzz");
    let host = host()?;
    let mut build = cargo(&["build", "--release", "--locked", "--target", &host, "--manifest-path"]);
    build.arg(&manifest).arg("--target-dir").arg(&folder);
    // Another variable would come before this one.
    build.env("RUSTFLAGS", FLAGS).env_remove("CARGO_ENCODED_RUSTFLAGS");
    process::run(&mut build)?;
    let targets = targets(&workspace::root().join("fuzz/fuzz_targets"))?;
    let mut counts = Counts::default();
    for target in &targets {
        let program = folder.join(&host).join("release").join(target);
        counts += if one(&program, target, &folder, SECONDS / targets.len().max(1))? { Counts::PASSED } else { Counts::FAILED };
    }
    Ok(Outcome::Tests(counts.failed == 0, counts, Vec::new()))
}

/// The triple of this machine.
fn host() -> Result<String> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let about = process::output(rustc.arg("-vV").current_dir(workspace::root())).context("cannot start rustc")?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("`rustc -vV` names no host")
}

/// Names of the targets, in order.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let name = |path: PathBuf| Some(path.file_name()?.to_str()?.strip_suffix(".rs")?.to_owned());
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| name(entry.path())).collect();
    names.sort();
    Ok(names)
}

/// Runs a target from its seeds on. What it finds is kept, and its path printed.
fn one(program: &Path, target: &str, folder: &Path, seconds: usize) -> Result<bool> {
    let (work, found) = (folder.join("work").join(target), folder.join("found").join(target));
    for empty in [&work, &found] {
        // Inputs of an earlier run are none of this one's findings.
        let _ = fs::remove_dir_all(empty);
        fs::create_dir_all(empty).with_context(|| format!("cannot make {}", empty.display()))?;
    }
    let log = folder.join(format!("{target}.log"));
    let into = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut fuzzer = Command::new(program);
    fuzzer.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={}/", found.display()));
    fuzzer.args(["-timeout=10", "-rss_limit_mb=2048", "-seed=1", "-print_final_stats=1"]);
    fuzzer.arg(&work).arg(workspace::root().join("fuzz/seeds").join(target));
    let status = fuzzer.stdin(std::process::Stdio::null()).stdout(into.try_clone()?).stderr(into).status();
    let status = status.with_context(|| format!("cannot start {}", program.display()))?;
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    // One that ran nothing has found nothing, and says so with success.
    let inputs = inputs(&text).filter(|inputs| *inputs > 0);
    if let (true, Some(inputs)) = (status.success(), inputs) {
        println!("test fuzz {target} ... ok ({inputs} inputs)");
        return Ok(true);
    }
    let lines: Vec<&str> = text.lines().collect();
    println!("{}", lines[lines.len().saturating_sub(40)..].join("\n"));
    println!("test fuzz {target} ... FAILED ({status})");
    for input in fs::read_dir(&found)?.flatten() {
        println!("the input is kept; run it again with `{} {}`", program.display(), input.path().display());
    }
    Ok(false)
}

/// How many inputs were run, from the closing lines.
fn inputs(log: &str) -> Option<u64> {
    log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_seeds_and_is_a_program_of_the_package() {
        let folder = workspace::root().join("fuzz");
        let manifest = workspace::read("fuzz/Cargo.toml").unwrap();
        let targets = targets(&folder.join("fuzz_targets")).unwrap();
        assert!(!targets.is_empty());
        for target in targets {
            assert!(fs::read_dir(folder.join("seeds").join(&target)).is_ok_and(|seeds| seeds.count() > 0), "{target}");
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_a_run_of_inputs_without_a_finding_passes() {
        use std::os::unix::fs::PermissionsExt;
        let folder = workspace::target_folder().unwrap().join("tmp/fuzz-step");
        fs::create_dir_all(&folder).unwrap();
        let ends = |name: &str, script: &str| {
            let program = folder.join(name);
            fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            one(&program, name, &folder, 1).unwrap()
        };
        assert!(ends("right", "echo stat::number_of_executed_units: 9 >&2"));
        assert!(!ends("finds", "echo stat::number_of_executed_units: 9; exit 77"));
        assert!(!ends("idle", "echo stat::number_of_executed_units: 0"));
        assert!(!ends("silent", "exit 0"));
    }

    #[test]
    fn inputs_are_counted() {
        assert_eq!(inputs("Done 7 runs\nstat::number_of_executed_units: 2458\nstat::average_exec_per_sec: 9"), Some(2458));
        assert_eq!(inputs("==1== ERROR: libFuzzer: deadly signal"), None);
    }
}
