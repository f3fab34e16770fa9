//! rullama
