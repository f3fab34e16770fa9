//! rullama-ops
