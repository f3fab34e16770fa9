//! For tests alone: a test that lacks something (a file too large for the repository, a GPU adapter) is *not
//! run*. It is printed as `ignored` with its reason and counted as that, never as passed.
//!
//! The standard harness decides before a test runs whether it is ignored, and makes a program of every file,
//! whose compiling takes longer than its tests. So the files in a crate's `tests` are modules of one program,
//! `tests/main.rs`, with the harness of this crate: `autotests = false` and one `[[test]]` with
//! `harness = false` in `Cargo.toml`, no `#[test]`, the list of its functions at a file's end, and the list of
//! files at the program's. A function or a module that a list forgets is dead code, which the lints refuse.
//!
//! ```no_run
//! mod golden {
//!     fn a_model_agrees() {
//!         let file = rullama_testing::golden("models/dense-f16.gguf");
//!         assert!(file.is_file());
//!     }
//!
//!     rullama_testing::tests! { a_model_agrees }
//! }
//!
//! rullama_testing::files! { golden }
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

/// A function without arguments that panics where it fails, and its name.
pub type Test = (&'static str, fn());

/// The harness behind [`files!`]: the tests of each file, by the file's name and their own; understands the
/// arguments of the standard harness.
pub fn run(files: &[(&'static str, &[Test])]) -> ExitCode {
    let of_file = |&(file, tests): &(&'static str, &[Test])| {
        let trial = move |&(name, test): &Test| Trial::ignorable_test(format!("{file}::{name}"), move || outcome(test));
        tests.iter().map(trial).collect::<Vec<_>>()
    };
    libtest_mimic::run(&Arguments::from_args(), files.iter().flat_map(of_file).collect()).exit_code()
}

fn outcome(test: fn()) -> Result<Completion, Failed> {
    let Err(left) = catch_unwind(test) else { return Ok(Completion::Completed) };
    match left.downcast::<NotRun>() {
        Ok(why) => Ok(Completion::ignored_with(why.0)),
        Err(panic) => resume_unwind(panic),
    }
}

/// The tests of a file, by their functions' names.
#[macro_export]
macro_rules! tests {
    ($($(#[$attribute:meta])* $test:ident),+ $(,)?) => {
        pub const TESTS: &[$crate::Test] = &[$($(#[$attribute])* (stringify!($test), $test as fn()),)+];
    };
}

/// The program of a crate's tests, by the modules that they stand in.
#[macro_export]
macro_rules! files {
    ($($(#[$attribute:meta])* $file:ident),+ $(,)?) => {
        fn main() -> ::std::process::ExitCode {
            $crate::run(&[$($(#[$attribute])* (stringify!($file), $file::TESTS),)+])
        }

        /// Exists for the standard harness alone, which would run none of the list.
        #[test]
        fn the_file_needs_its_own_harness() {
            panic!("set `harness = false` at this file's [[test]] in Cargo.toml");
        }
    };
}
