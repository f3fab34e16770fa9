//! rullama-quant
