//! One module per command.

pub mod adapter;
pub mod bench;
pub mod doctor;
pub mod embed;
pub mod eval;
pub mod list;
pub mod merge;
pub mod parse;
pub mod quantize;
pub mod render;
pub mod run;
pub mod score;
pub mod serve;
pub mod show;
pub mod tokenize;
pub mod train;
