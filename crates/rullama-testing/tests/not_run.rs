//! The harness itself: this program runs itself with tests of every kind and reads what it printed.

use std::process::{Command, ExitCode, Output};

/// Set for the inner run.
const INNER: &str = "RULLAMA_TESTING_INNER";

mod inner {
    pub fn passes() {}

    pub fn fails() {
        panic!("an ordinary panic");
    }

    pub fn lacks_a_golden() {
        rullama_testing::golden("models/none-such.gguf");
        panic!("went on without its file");
    }

    pub fn lacks_a_variable() {
        rullama_testing::variable("RULLAMA_TESTING_NO_SUCH_VARIABLE");
        panic!("went on without its variable");
    }

    pub fn lacks_an_adapter() {
        rullama_testing::found(Err::<(), _>("no adapter"), |error| *error == "no adapter");
        panic!("went on without its adapter");
    }

    pub fn meets_another_error() {
        rullama_testing::found(Err::<(), _>("out of memory"), |error| *error == "no adapter");
    }

    pub const TESTS: &[rullama_testing::Test] = &[
        ("passes", passes),
        ("fails", fails),
        ("lacks_a_golden", lacks_a_golden),
        ("lacks_a_variable", lacks_a_variable),
        ("lacks_an_adapter", lacks_an_adapter),
        ("meets_another_error", meets_another_error),
    ];
}

fn inner(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(INNER, "1").env(rullama_testing::GOLDENS, "/nonexistent").env("NO_COLOR", "1");
    let Output { status, stdout, .. } = command.args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap())
}

fn what_is_missing_is_not_run() {
    let (code, out) = inner(&[]);
    assert_eq!(code, Some(101), "{out}");
    assert!(out.contains("\ntest result: FAILED. 1 passed; 2 failed; 3 ignored; "), "{out}");
    let told = |name: &str| {
        out.lines()
            .find(|line| line.split_whitespace().nth(1).and_then(|told| told.strip_prefix("not_run::")) == Some(name))
            .unwrap_or_default()
            .to_owned()
    };
    assert!(told("lacks_a_golden").ends_with("ignored (/nonexistent/models/none-such.gguf is not there)"), "{out}");
    assert!(told("lacks_a_variable").ends_with("ignored (RULLAMA_TESTING_NO_SUCH_VARIABLE is not set)"), "{out}");
    assert!(told("lacks_an_adapter").ends_with("ignored (no adapter)"), "{out}");
    assert!(told("passes").ends_with("ok") && told("fails").ends_with("FAILED"), "{out}");
    assert!(told("meets_another_error").ends_with("FAILED") && out.contains("out of memory"), "{out}");
}

fn nothing_run_is_nothing_passed() {
    let (code, out) = inner(&["lacks"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("\ntest result: ok. 0 passed; 0 failed; 3 ignored; 0 measured; 3 filtered out"), "{out}");
}

rullama_testing::tests! { what_is_missing_is_not_run, nothing_run_is_nothing_passed }

fn main() -> ExitCode {
    let tests = if std::env::var_os(INNER).is_some() { inner::TESTS } else { TESTS };
    rullama_testing::run(&[("not_run", tests)])
}
