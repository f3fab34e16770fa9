//! Steps two at a time: many wait for a browser, or for the one thread of a compiler, while a core has nothing to do.
//!
//! Beside each other each is a process of its own, whose output is kept apart and shown when it ends.

use super::report::Row;
use super::{Arguments, Step};
use crate::{process, workspace};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Which steps were begun, and what came of those that ended.
struct State<T> {
    begun: Vec<bool>,
    ended: Vec<Option<T>>,
}

fn locked<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the steps, `jobs` at a time: the first in the list that is not begun, once all that it comes after have ended, as far as
/// they are in the list. What came of each, in the list's order.
pub fn run<T: Send>(steps: &[&Step], jobs: usize, run: impl Fn(&Step) -> T + Sync) -> Vec<T> {
    let state = Mutex::new(State { begun: vec![false; steps.len()], ended: steps.iter().map(|_| None).collect() });
    let changed = Condvar::new();
    let work = || {
        while let Some(at) = next(steps, &state, &changed) {
            let result = run(steps[at]);
            locked(&state).ended[at] = Some(result);
            changed.notify_all();
        }
    };
    std::thread::scope(|scope| (0..jobs.max(1)).for_each(|_| drop(scope.spawn(work))));
    let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    state.ended.into_iter().flatten().collect()
}

/// Begins the next step, waiting until one may begin; `None` when all were begun.
fn next<T>(steps: &[&Step], state: &Mutex<State<T>>, changed: &Condvar) -> Option<usize> {
    let mut now = locked(state);
    loop {
        let ended = |name: &str| steps.iter().zip(&now.ended).all(|(step, ended)| step.name != name || ended.is_some());
        let may_begin = |at: &usize| !now.begun[*at] && steps[*at].after.iter().all(|name| ended(name));
        if let Some(at) = (0..steps.len()).find(may_begin) {
            now.begun[at] = true;
            return Some(at);
        }
        if now.begun.iter().all(|begun| *begun) {
            return None;
        }
        now = changed.wait(now).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Runs a step as a process; its output is shown when it ends, and grows in a file until then.
pub fn apart(step: &Step, arguments: &Arguments) -> Row {
    let start = Instant::now();
    let (log, result) = files(step.name);
    println!("   begins: {} ({})", step.name, log.display());
    let row = in_process(step, arguments, &log, &result);
    let output = fs::read(&log).unwrap_or_default();
    // One call, so that the outputs of two do not mix.
    println!("\n== {}\n{}", step.name, String::from_utf8_lossy(&output));
    let row = row.unwrap_or_else(|error| {
        println!("error: {error:#}");
        Row::failed(step.name)
    });
    Row { time: start.elapsed(), ..row }
}

fn in_process(step: &Step, arguments: &Arguments, log: &Path, result: &Path) -> Result<Row> {
    let folder = log.parent().unwrap_or(log);
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // What an earlier run left must not stand for this one.
    let _ = fs::remove_file(result);
    let into = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut program = this_program(step.gives_way)?;
    program.args(["test", "--step", step.name, "--result"]).arg(result);
    program.args(arguments.full.then_some("--full")).args(arguments.quick.then_some("--quick"));
    program.args(arguments.only.map(|group| format!("--only={}", group.word())));
    program.stdin(Stdio::null()).stdout(into.try_clone()?).stderr(into);
    let status = program.status().context("cannot start this program again")?;
    match fs::read_to_string(result) {
        Ok(text) => Row::parse(step.name, &text),
        Err(_) => bail!("the step ended without a result ({status})"),
    }
}

/// How far a step that gives way stands back: one beside it has some nine tenths of the processor where both want it.
const NICENESS: &str = "10";

/// Where this program is: its file may have been built anew since it began.
fn own_path() -> Result<PathBuf> {
    let running = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
    if running.exists() { Ok(running) } else { std::env::current_exe().context("this program does not know where it is") }
}

fn this_program(gives_way: bool) -> Result<Command> {
    let path = own_path()?;
    let nice = process::find_program(&["nice"]).filter(|_| gives_way && cfg!(unix));
    Ok(nice.map_or_else(
        || Command::new(&path),
        |nice| {
            let mut command = Command::new(nice);
            command.args(["-n", NICENESS]).arg(&path);
            command
        },
    ))
}

fn files(name: &str) -> (PathBuf, PathBuf) {
    let word: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let folder = workspace::root().join("target/steps");
    (folder.join(format!("{word}.log")), folder.join(format!("{word}.json")))
}

#[cfg(test)]
mod tests {
    use super::super::{Group, Outcome, STEPS, step};
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    fn nothing(_: &Arguments) -> Result<Outcome> {
        Ok(Outcome::Check(true))
    }

    #[test]
    fn steps_come_after_steps_before_them() {
        let steps: Vec<&Step> = STEPS.iter().collect();
        for (at, step) in steps.iter().enumerate() {
            for name in step.after {
                assert!(steps[..at].iter().any(|before| before.name == *name), "{} after {name}", step.name);
            }
        }
    }

    #[test]
    fn each_runs_once_after_what_it_comes_after_and_results_are_in_order() {
        let all = [
            step("a", Group::Rust, true, nothing),
            step("b", Group::Rust, true, nothing).after(&["a", "not in the list"]),
            step("c", Group::Rust, true, nothing),
            step("d", Group::Rust, true, nothing).after(&["b", "c"]),
        ];
        for jobs in [0, 1, 2, 9] {
            let (clock, most, now) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
            let times = run(&all.iter().collect::<Vec<_>>(), jobs, |step| {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let begin = clock.fetch_add(1, Ordering::SeqCst);
                // As long as it may take on a busy machine until the other two are beside each other.
                let end = Instant::now() + Duration::from_secs(10);
                while most.load(Ordering::SeqCst) < jobs.clamp(1, 2) && Instant::now() < end {
                    std::thread::sleep(Duration::from_millis(1));
                }
                now.fetch_sub(1, Ordering::SeqCst);
                (step.name, begin, clock.fetch_add(1, Ordering::SeqCst))
            });
            assert_eq!(times.iter().map(|time| time.0).collect::<String>(), "abcd");
            assert!(times[1].1 > times[0].2 && times[3].1 > times[1].2.max(times[2].2), "{jobs}: {times:?}");
            assert_eq!(most.into_inner(), jobs.clamp(1, 2), "{jobs}");
        }
    }

    #[test]
    fn a_list_without_steps_ends() {
        assert!(run(&[], 2, |step| step.name).is_empty());
    }
}
