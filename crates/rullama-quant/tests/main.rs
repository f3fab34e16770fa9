//! The tests of this crate, in one program.

mod encode;
mod golden;
mod mix;

rullama_testing::files! {
    encode,
    golden,
    mix,
}
