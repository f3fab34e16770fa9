//! rullama-web
