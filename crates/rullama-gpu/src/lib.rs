//! rullama-gpu
