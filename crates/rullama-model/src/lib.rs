//! rullama-model
