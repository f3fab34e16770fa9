//! The tests of this crate, in one program.

mod absurd;
mod drafter;
mod graphs;

rullama_testing::files! {
    absurd,
    drafter,
    graphs,
}
