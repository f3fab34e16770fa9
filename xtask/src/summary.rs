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
    fn other_lines_count_nothing() {
        let output = "12 files passed over\n3 passed, 1 failed\nTests are slow\n# heading\n7 passed through here\n";
        assert_eq!(Counts::from_output(output), Counts::default());
    }
}
