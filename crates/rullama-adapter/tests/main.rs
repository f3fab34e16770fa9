//! The tests of this crate, in one program.

mod common;
mod forms;
mod goldens;
mod hostile;

rullama_testing::files! {
    forms,
    goldens,
    hostile,
}
