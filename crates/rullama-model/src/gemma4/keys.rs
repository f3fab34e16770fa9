//! Keys of a file's metadata that begin with its architecture.

use super::config::Span;
use crate::ModelError;
use rullama_source::gguf::{Gguf, MetadataError};

/// What is wrong with a key of `of`.
pub(super) fn bad(of: &str, key: &str, value: impl ToString, reason: &str) -> ModelError {
    ModelError::Config { key: format!("{of}.{key}"), value: value.to_string(), reason: reason.into() }
}

/// Reads keys that begin with the architecture `of`.
pub(super) struct Keys<'a> {
    pub gguf: &'a Gguf,
    pub of: &'static str,
}

impl Keys<'_> {
    fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.of)
    }

    pub fn bad(&self, key: &str, value: impl ToString, reason: &str) -> ModelError {
        bad(self.of, key, value, reason)
    }

    pub fn u32(&self, key: &str) -> Result<u32, ModelError> {
        Ok(self.gguf.metadata.u32(&self.name(key))?)
    }

    pub fn u32_or(&self, key: &str, default: u32) -> Result<u32, ModelError> {
        Ok(MetadataError::optional(self.gguf.metadata.u32(&self.name(key)))?.unwrap_or(default))
    }

    pub fn f32_or(&self, key: &str, default: f32) -> Result<f32, ModelError> {
        Ok(MetadataError::optional(self.gguf.metadata.f32(&self.name(key)))?.unwrap_or(default))
    }

    pub fn size(&self, key: &str, max: u32) -> Result<u32, ModelError> {
        let value = self.u32(key)?;
        if value == 0 || value > max { Err(self.bad(key, value, &format!("is outside 1..={max}"))) } else { Ok(value) }
    }

    /// A positive number.
    pub fn positive_or(&self, key: &str, default: f32) -> Result<f32, ModelError> {
        let value = self.f32_or(key, default)?;
        if value.is_finite() && value > 0.0 { Ok(value) } else { Err(self.bad(key, value, "is not a positive number")) }
    }

    /// One value a layer, from a scalar or an array of the right length.
    pub fn per_layer(&self, key: &str, layers: usize, max: u32) -> Result<Vec<u32>, ModelError> {
        let values = self.gguf.metadata.u32_array(&self.name(key))?;
        let values = if values.len() == 1 { vec![values[0]; layers] } else { values };
        if values.len() != layers {
            return Err(self.bad(key, format!("an array of {}", values.len()), &format!("should have {layers} elements, one a layer")));
        }
        match values.iter().find(|v| **v == 0 || **v > max) {
            Some(value) => Err(self.bad(key, value, &format!("is outside 1..={max}"))),
            None => Ok(values),
        }
    }

    /// How each layer attends; where nothing is said, every sixth sees all keys.
    pub fn spans(&self, layers: usize) -> Result<Vec<Span>, ModelError> {
        let key = "attention.sliding_window_pattern";
        let sliding = match MetadataError::optional(self.gguf.metadata.bool_array(&self.name(key)))? {
            Some(pattern) if pattern.len() == layers => pattern,
            Some(pattern) => {
                return Err(self.bad(key, format!("an array of {}", pattern.len()), &format!("should have {layers} elements")));
            }
            None => (0..layers).map(|i| i % 6 != 5).collect(),
        };
        Ok(sliding.into_iter().map(|sliding| if sliding { Span::Sliding } else { Span::Global }).collect())
    }
}
