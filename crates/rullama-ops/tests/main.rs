//! The tests of this crate, in one program.

mod backward;
mod forward;
mod gradients;
mod layer_tail;
mod sample;
mod smoke;
mod training;

rullama_testing::files! {
    backward,
    forward,
    gradients,
    layer_tail,
    sample,
    smoke,
    training,
}
