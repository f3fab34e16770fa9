//! The tests of this crate, in one program.

mod access;
mod answers;
mod api;
mod common;
mod embed;
mod files;
mod generate;
mod inspect;
mod lan;
mod media;
mod quantize;
mod residents;
#[cfg(unix)]
mod results;
mod score;
mod serve;
mod sounds;
#[cfg(unix)]
mod terminal;
mod train;
mod video;

rullama_testing::files! {
    access,
    answers,
    api,
    embed,
    files,
    generate,
    inspect,
    lan,
    media,
    quantize,
    residents,
    #[cfg(unix)]
    results,
    score,
    serve,
    sounds,
    #[cfg(unix)]
    terminal,
    train,
    video,
}
