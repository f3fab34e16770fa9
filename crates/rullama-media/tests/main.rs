//! The tests of this crate, in one program.

mod hostile;
mod mel;
mod resize;
mod sounds;
mod video;

rullama_testing::files! {
    hostile,
    mel,
    resize,
    sounds,
    video,
}
