//! What came of the steps, and the summary that counts it.

use super::Outcome;
use crate::summary::Counts;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub name: &'static str,
    pub counts: Counts,
    pub time: Duration,
    /// What its processes took of the processors, where that is known: steps beside it make the time longer, and not this.
    pub processor: Option<Duration>,
    /// Why the whole step was skipped.
    pub skipped: Option<String>,
    /// Tests that were not run, each with the reason.
    pub not_run: Vec<(String, String)>,
}

impl Row {
    pub fn new(name: &'static str, outcome: Outcome, time: Duration) -> Row {
        let counts = counts(&outcome);
        let (skipped, not_run) = match outcome {
            Outcome::Skipped(why) => (Some(why.to_owned()), Vec::new()),
            Outcome::Tests(_, _, not_run) => (None, not_run),
            Outcome::Check(_) => (None, Vec::new()),
        };
        Row { name, counts, time, processor: None, skipped, not_run }
    }

    pub fn failed(name: &'static str) -> Row {
        Row::new(name, Outcome::Check(false), Duration::ZERO)
    }

    /// As another process reads it.
    pub fn text(&self) -> String {
        let Counts { passed, failed, skipped } = self.counts;
        let processor = self.processor.map(|time| time.as_secs_f64());
        json!({ "counts": [passed, failed, skipped], "skipped": self.skipped, "not_run": self.not_run, "processor": processor }).to_string()
    }

    /// Reads what [`text`](Self::text) gives; the time is not in it.
    pub fn parse(name: &'static str, text: &str) -> Result<Row> {
        let all: Value = serde_json::from_str(text).context("a step's result cannot be read")?;
        let number = |at: usize| all["counts"][at].as_u64().context("a step's result has no counts");
        let counts = Counts { passed: number(0)?, failed: number(1)?, skipped: number(2)? };
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let pairs = all["not_run"].as_array().context("a step's result does not say what was not run")?;
        let not_run = pairs.iter().map(|pair| (word(&pair[0]), word(&pair[1]))).collect();
        let skipped = all["skipped"].as_str().map(str::to_owned);
        let processor = all["processor"].as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Ok(Row { name, counts, time: Duration::ZERO, processor, skipped, not_run })
    }
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

/// Prints the summary, the line that counts last.
///
/// # Errors
/// When a test or a step failed.
pub fn print(rows: &[Row]) -> Result<()> {
    let mut sum = Counts::default();
    println!("\n== summary: minutes, and the processor's");
    for Row { name, counts, time, processor, skipped, .. } in rows {
        let word = match skipped {
            Some(_) => "skipped",
            None if counts.failed == 0 && counts.passed == 0 => "not run",
            None if counts.failed > 0 => "FAILED",
            None => "ok",
        };
        let note = skipped.as_deref().unwrap_or_default();
        let minutes = |time: &Duration| format!("{:.1}", time.as_secs_f32() / 60.0);
        let processor = processor.as_ref().map_or_else(|| "-".to_owned(), minutes);
        println!("{word:<8} {name:<26} {:<36} {:>5} {processor:>5}  {note}", counts.text(), minutes(time));
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
fn reasons(rows: &[Row]) -> BTreeMap<&str, Vec<&str>> {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (test, reason) in rows.iter().flat_map(|row| &row.not_run) {
        reasons.entry(reason).or_default().push(test);
    }
    reasons
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

    fn row(counts: Counts, not_run: &[(&str, &str)]) -> Row {
        let not_run = not_run.iter().map(|(test, why)| (test.to_string(), why.to_string())).collect();
        Row { counts, ..Row::new("step", Outcome::Tests(true, counts, not_run), Duration::ZERO) }
    }

    #[test]
    fn reasons_are_told_once() {
        let rows = [row(Counts::SKIPPED, &[("a", "no adapter"), ("b", "no file")]), row(Counts::SKIPPED, &[("c", "no adapter")])];
        let told: Vec<_> = reasons(&rows).into_iter().collect();
        assert_eq!(told, [("no adapter", vec!["a", "c"]), ("no file", vec!["b"])]);
    }

    #[test]
    fn a_failure_fails_the_command() {
        assert!(print(&[row(Counts::PASSED, &[]), row(Counts::FAILED, &[])]).is_err());
        assert!(print(&[row(Counts::PASSED, &[]), row(Counts::SKIPPED, &[])]).is_ok());
    }

    #[test]
    fn another_process_reads_the_same() {
        let counts = Counts { passed: 7, failed: 2, skipped: 1 };
        let timed = Row { processor: Some(Duration::from_millis(1250)), ..row(counts, &[("a \"b\"", "no adapter")]) };
        for sent in [timed, Row::new("step", Outcome::Skipped("no network"), Duration::ZERO)] {
            assert_eq!(Row::parse("step", &sent.text()).unwrap(), sent);
        }
        for broken in ["", "{}", r#"{"counts": [1, 2], "not_run": []}"#, r#"{"counts": [1, 2, 3]}"#] {
            assert!(Row::parse("step", broken).is_err(), "{broken}");
        }
    }
}
