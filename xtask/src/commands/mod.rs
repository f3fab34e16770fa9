//! One module per command. A new command is a module here and a line in `main.rs`.

pub mod check;
pub mod docs;
pub mod figures;
pub mod run;
pub mod setup;
pub mod test;
pub mod web;
