//! The tests of this crate, in one program.

mod common;
mod gguf_corpus;
mod gguf_goldens;
mod gguf_properties;
mod http;
mod ollama;
mod split;
mod write;

rullama_testing::files! {
    gguf_corpus,
    gguf_goldens,
    gguf_properties,
    http,
    ollama,
    split,
    write,
}
