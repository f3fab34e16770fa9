//! For tests alone: a test that lacks something (a file too large for the repository, a GPU adapter) is *not
//! run*. It is printed as `ignored` with its reason and counted as that, never as passed.
//!
//! The standard harness decides before a test runs whether it is ignored, so test files that may lack something
//! use the harness of this crate: `harness = false` at the file's `[[test]]` in `Cargo.toml`, no `#[test]`, and
//! the list of its functions at the file's end. A function that the list forgets is dead code, which the lints
//! refuse.
//!
//! ```no_run
//! fn a_model_agrees() {
//!     let file = rullama_testing::golden("models/dense-f16.gguf");
//!     assert!(file.is_file());
//! }
//!
//! rullama_testing::tests! { a_model_agrees }
//! ```

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::ffi::OsString;
use std::fmt::Display;
use std::panic::{catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Names the folder with all reference data, in place of `shared/goldens` beside the checkout.
pub const GOLDENS: &str = "RULLAMA_GOLDENS";

/// What [`skip`] leaves a test with.
struct NotRun(String);

/// Leaves the test that runs on this thread; it counts as not run.
pub fn skip(reason: impl Display) -> ! {
    // Not a panic: nothing is printed but the reason, by the harness.
    resume_unwind(Box::new(NotRun(reason.to_string().replace('\n', " "))))
}

/// The value, or a test that is not run where the error says that something is `missing`.
///
/// # Panics
/// With any other error.
pub fn found<T, E: Display>(result: Result<T, E>, missing: impl Fn(&E) -> bool) -> T {
    match result {
        Ok(value) => value,
        Err(error) if missing(&error) => skip(error),
        Err(error) => panic!("{error}"),
    }
}

/// A path that exists, or a test that is not run.
pub fn existing(path: impl Into<PathBuf>) -> PathBuf {
    let path = path.into();
    if !path.exists() {
        skip(format_args!("{} is not there", path.display()));
    }
    path
}

/// The value of an environment variable, or a test that is not run.
pub fn variable(name: &str) -> OsString {
    std::env::var_os(name).unwrap_or_else(|| skip(format_args!("{name} is not set")))
}

/// The root of the repository.
pub fn workspace() -> PathBuf {
    // Without `..`, which would make the paths of missing files hard to read.
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("a package below `crates`").to_owned()
}

/// A path of the whole reference data ([`GOLDENS`]), or a test that is not run.
pub fn shared(path: &str) -> PathBuf {
    existing(goldens().join(path))
}

/// A path of the reference data: of the part that the repository carries, else of the whole.
pub fn golden(path: &str) -> PathBuf {
    let own = workspace().join("goldens").join(path);
    if own.exists() { own } else { shared(path) }
}

fn goldens() -> PathBuf {
    std::env::var_os(GOLDENS).map_or_else(|| workspace().join("../shared/goldens"), PathBuf::from)
}

/// The harness behind [`tests!`]; understands the arguments of the standard one.
pub fn run(tests: &[(&'static str, fn())]) -> ExitCode {
    let trials = tests.iter().map(|&(name, test)| Trial::ignorable_test(name, move || outcome(test)));
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn outcome(test: fn()) -> Result<Completion, Failed> {
    let Err(left) = catch_unwind(test) else { return Ok(Completion::Completed) };
    match left.downcast::<NotRun>() {
        Ok(why) => Ok(Completion::ignored_with(why.0)),
        Err(panic) => resume_unwind(panic),
    }
}

/// The tests of a file with `harness = false`, by their functions' names.
#[macro_export]
macro_rules! tests {
    ($($(#[$attribute:meta])* $test:ident),+ $(,)?) => {
        fn main() -> ::std::process::ExitCode {
            $crate::run(&[$($(#[$attribute])* (stringify!($test), $test as fn()),)+])
        }

        /// Exists for the standard harness alone, which would run none of the list.
        #[test]
        fn the_file_needs_its_own_harness() {
            panic!("set `harness = false` at this file's [[test]] in Cargo.toml");
        }
    };
}
