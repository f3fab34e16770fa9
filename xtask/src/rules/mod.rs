//! What `cargo xtask check` enforces. Each rule takes data and returns what breaks it, one line each.

pub mod arrows;
pub mod functions;
pub mod licences;
pub mod sources;
pub mod spdx;
pub mod tests_run;
