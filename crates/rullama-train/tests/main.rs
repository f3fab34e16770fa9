//! The tests of this crate, in one program.

mod common;
mod data;
mod gradients;
mod memory;
mod trainer;

rullama_testing::files! {
    data,
    gradients,
    memory,
    trainer,
}
