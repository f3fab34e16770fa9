//! A test that did not run must not look like one that passed.

use super::sources::Source;

/// How a test file takes the harness that can tell a test as not run.
const HARNESS: &str = "rullama_testing::tests!";

/// In test files: `#[test]` where the own harness would never run it, and tests that end early by themselves.
pub fn violations(source: &Source) -> Vec<String> {
    if !is_test_file(source.path) {
        return Vec::new();
    }
    let own = source.text.contains(HARNESS);
    let lines = source.text.lines().enumerate().filter_map(|(index, line)| {
        let what = if own && line.trim() == "#[test]" {
            "never runs under `harness = false`; leave it away and name the function in `rullama_testing::tests!`"
        } else if line.contains("else { return };") {
            "a test that ends early counts as passed; get what it needs through `rullama_testing`, which counts it as not run"
        } else {
            return None;
        };
        Some(format!("{}:{}: {what}", source.path, index + 1))
    });
    lines.collect()
}

fn is_test_file(path: &str) -> bool {
    let inside = path.strip_prefix("crates/").and_then(|rest| rest.split_once('/'));
    inside.is_some_and(|(_, rest)| rest.starts_with("tests/") && rest.ends_with(".rs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> usize {
        violations(&Source { path, text }).len()
    }

    #[test]
    fn a_test_that_its_harness_does_not_know() {
        let own = "#[test]\nfn a() {}\n\nfn b() {}\n\nrullama_testing::tests! { b }\n";
        assert_eq!(check("crates/a/tests/b.rs", own), 1);
        assert_eq!(check("crates/a/tests/b.rs", "#[test]\nfn a() {}\n"), 0);
        assert_eq!(check("crates/a/src/b.rs", own), 0);
    }

    #[test]
    fn a_test_that_ends_early() {
        let early = "#[test]\nfn a() {\n    let Some(file) = file() else { return };\n}\n";
        assert_eq!(check("crates/a/tests/common/mod.rs", early), 1);
        assert_eq!(check("crates/a/src/lib.rs", early), 0);
    }
}
