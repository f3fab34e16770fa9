//! The tests of this crate, in one program.

mod json;

rullama_testing::files! {
    json,
}
