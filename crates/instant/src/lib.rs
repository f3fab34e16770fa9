//! web-time's clock under the name that llguidance has for one in a browser: the registry's crate of this name is unmaintained
//! (RUSTSEC-2024-0384), and names this one as what to use.

pub use web_time::Instant;
