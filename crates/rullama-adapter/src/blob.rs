//! What writers give: files by name, not yet written.

use crate::{AdapterError, Target};

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Without a folder.
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Type of the values that are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    #[default]
    F32,
    F16,
}

impl Precision {
    /// Little-endian bytes of values.
    ///
    /// # Errors
    /// [`AdapterError::Form`] for a value that the type cannot hold.
    pub(crate) fn encode(self, adapter: &str, target: Target, values: impl Iterator<Item = f32>) -> Result<Vec<u8>, AdapterError> {
        let mut bytes = Vec::with_capacity(values.size_hint().0 * if self == Self::F16 { 2 } else { 4 });
        for value in values {
            let half = half::f16::from_f32(value);
            if !value.is_finite() || (self == Self::F16 && !half.is_finite()) {
                return Err(AdapterError::Form {
                    adapter: adapter.to_owned(),
                    what: format!("{target} holds {value}, which {self:?} cannot hold"),
                    remedy: if value.is_finite() { "Write it in F32." } else { "Give it a smaller scale." },
                });
            }
            match self {
                Self::F32 => bytes.extend_from_slice(&value.to_le_bytes()),
                Self::F16 => bytes.extend_from_slice(&half.to_le_bytes()),
            }
        }
        Ok(bytes)
    }
}
