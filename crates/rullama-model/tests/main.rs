//! The tests of this crate, in one program.

mod absurd;
mod graphs;

rullama_testing::files! {
    absurd,
    graphs,
}
