//! rullama-text
