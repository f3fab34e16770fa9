//! Test counts, read from what the test runners print.

use std::ops::AddAssign;

/// How many tests did what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl Counts {
    pub const PASSED: Counts = Counts { passed: 1, failed: 0, skipped: 0 };
    pub const FAILED: Counts = Counts { passed: 0, failed: 1, skipped: 0 };
    pub const SKIPPED: Counts = Counts { passed: 0, failed: 0, skipped: 1 };

    /// The sum of all closing lines of cargo test and node's test runner in `output`.
    pub fn from_output(output: &str) -> Counts {
        let mut sum = Counts::default();
        for line in output.lines() {
            let line = without_colours(line);
            let line = line.trim();
            if let Some(rest) = line.strip_prefix("test result: ") {
                let counts = rest.split_once(". ").map_or(rest, |(_, counts)| counts);
                sum += pairs(counts);
            } else if let Some(rest) = node_line(line) {
                sum += rest;
            }
        }
        sum
    }

    /// `5 passed, 1 failed`, and how many were not run where some were not.
    pub fn text(self) -> String {
        let Counts { passed, failed, skipped } = self;
        match skipped {
            0 => format!("{passed} passed, {failed} failed"),
            _ => format!("{passed} passed, {failed} failed, {skipped} skipped"),
        }
    }

    pub fn total(self) -> u64 {
        self.passed + self.failed + self.skipped
    }

    fn add(&mut self, word: &str, number: u64) {
        match word {
            "passed" | "pass" => self.passed += number,
            "failed" | "fail" | "cancelled" => self.failed += number,
            "ignored" | "skipped" | "todo" => self.skipped += number,
            _ => {}
        }
    }
}

/// How many of node's tests began whose result is not in its output (TAP): where it is cut off, those behind would be missed by nobody.
pub fn without_result(output: &str) -> usize {
    let lines = || output.lines().map(|line| line.trim_start());
    let result = |line: &str| {
        let numbered = line.strip_prefix("not ").unwrap_or(line).strip_prefix("ok ");
        numbered.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let began = lines().filter(|line| line.starts_with("# Subtest: ")).count();
    began.saturating_sub(lines().filter(|line| result(line)).count())
}

/// Which tests were not run and why, one `(test, reason)` for each line that gives a reason: `test a ... ignored
/// (why)` of the crates' own harness, `test a ... ignored, why` of the standard one, `a # SKIP why` and `a # why` of
/// node's reporters.
pub fn not_run(output: &str) -> Vec<(String, String)> {
    let lines = output.lines().map(without_colours);
    lines.filter_map(|line| ignored(line.trim()).or_else(|| skipped(line.trim()))).collect()
}

fn ignored(line: &str) -> Option<(String, String)> {
    let (name, rest) = line.strip_prefix("test ")?.split_once(" ... ignored")?;
    let reason = rest.strip_prefix(", ").or(rest.strip_prefix(" (").and_then(|rest| rest.strip_suffix(')')))?;
    Some((name.trim().to_owned(), reason.to_owned()))
}

fn skipped(line: &str) -> Option<(String, String)> {
    let tap = line.strip_prefix("ok ").and_then(|rest| rest.split_once(" - "));
    let (name, reason) = match tap {
        Some((_, rest)) => rest.split_once(" # SKIP ")?,
        None => line.strip_prefix("\u{fe63} ")?.split_once(" # ")?,
    };
    // The other reporter puts the time behind the name.
    let name = name.rsplit_once(" (").filter(|(_, time)| time.ends_with("ms)")).map_or(name, |(name, _)| name);
    Some((name.to_owned(), reason.to_owned()))
}

/// `5 passed; 1 failed; ...`
fn pairs(text: &str) -> Counts {
    let mut counts = Counts::default();
    for part in text.split(';') {
        if let Some((number, rest)) = number_and_rest(part.trim()) {
            counts.add(rest.split(' ').next().unwrap_or(""), number);
        }
    }
    counts
}

/// Node's `# pass 5`, or `i pass 5` with its information sign.
fn node_line(line: &str) -> Option<Counts> {
    let rest = line.strip_prefix("# ").or(line.strip_prefix("\u{2139} "))?;
    let (word, number) = rest.split_once(' ')?;
    let mut counts = Counts::default();
    counts.add(word, number.parse().ok()?);
    Some(counts)
}

fn number_and_rest(text: &str) -> Option<(u64, &str)> {
    let (number, rest) = text.split_once(' ')?;
    Some((number.parse().ok()?, rest))
}

/// The line without terminal colour sequences.
fn without_colours(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let mut plain = parts.next().unwrap_or("").to_owned();
    for part in parts {
        plain.push_str(part.split_once('m').map_or("", |(_, rest)| rest));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: u64, failed: u64, skipped: u64) -> Counts {
        Counts { passed, failed, skipped }
    }

    #[test]
    fn cargo_test() {
        let output = "running 3 tests\ntest a ... ok\n\
            test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
            test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 3 filtered out\n";
        assert_eq!(Counts::from_output(output), counts(16, 2, 1));
    }

    #[test]
    fn node_test() {
        let output = "\u{2139} tests 7\n\u{2139} pass 5\n\u{2139} fail 1\n\u{2139} skipped 1\n\u{2139} duration_ms 61.2\n";
        assert_eq!(Counts::from_output(output), counts(5, 1, 1));
        assert_eq!(Counts::from_output("# tests 2\n# pass 2\n# fail 0\n"), counts(2, 0, 0));
    }

    #[test]
    fn what_is_cut_off_is_noticed() {
        let whole =
            "TAP version 13\n# Subtest: a\n    # Subtest: b\n    ok 1 - b\n    # Subtest: c\n    not ok 2 - c\nnot ok 1 - a\n# pass 1\n";
        assert_eq!(without_result(whole), 0);
        assert_eq!(without_result(&whole.replace("not ok 1 - a\n", "")), 1);
        assert_eq!(without_result("test a ... ok\nok then\n"), 0);
    }

    #[test]
    fn not_run_is_not_passed() {
        let own = "running 3 tests\ntest a       ... ok\ntest lacks_a ... ignored (../goldens/a.gguf is not there)\n\n\
            test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n";
        assert_eq!(Counts::from_output(own), counts(1, 0, 1));
        assert_eq!(Counts::from_output(own).text(), "1 passed, 0 failed, 1 skipped");
        assert_eq!(counts(1, 0, 0).text(), "1 passed, 0 failed");
        let all = "test result: ok. 0 passed; 0 failed; 4 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(Counts::from_output(all), counts(0, 0, 4));
    }

    #[test]
    fn reasons() {
        let reason = |line: &str| match &not_run(line)[..] {
            [(name, reason)] => format!("{name}: {reason}"),
            other => format!("{other:?}"),
        };
        assert_eq!(reason("test a::b   ... ignored (no adapter (none))"), "a::b: no adapter (none)");
        assert_eq!(reason("test a ... \u{1b}[33mignored (no file)\u{1b}[0m"), "a: no file");
        assert_eq!(reason("test a ... ignored, takes an hour"), "a: takes an hour");
        assert_eq!(reason("    ok 3 - in Chromium # SKIP run `cargo build` first"), "in Chromium: run `cargo build` first");
        assert_eq!(reason("\u{fe63} in Chromium (0.3ms) # no browser"), "in Chromium: no browser");
        for other in ["test a ... ok", "test a ... ignored", "ok 1 - a", "# a # b", "\u{2714} a (0.3ms)"] {
            assert_eq!(reason(other), "[]", "{other}");
        }
    }

    #[test]
    fn other_lines_count_nothing() {
        let output = "12 files passed over\n3 passed, 1 failed\nTests are slow\n# heading\n7 passed through here\n";
        assert_eq!(Counts::from_output(output), Counts::default());
    }
}
