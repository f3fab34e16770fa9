//! The tests of this crate, in one program.

mod calls;
mod chat;
mod common;
mod growth;
mod parser;
mod properties;
mod tokenizer;

rullama_testing::files! {
    calls,
    chat,
    growth,
    parser,
    properties,
    tokenizer,
}
