//! rullama-source
