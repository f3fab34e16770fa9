//! A model that is already in memory, such as one embedded in the program.

use std::{borrow::Cow, sync::Arc};

use crate::source::{BoxFuture, ByteSource, Locality, SourceError};

/// Bytes in memory, shared and never copied as a whole.
#[derive(Clone, Debug)]
pub struct MemorySource {
    name: Cow<'static, str>,
    bytes: Bytes,
}

#[derive(Clone, Debug)]
enum Bytes {
    Static(&'static [u8]),
    Shared(Arc<[u8]>),
}

impl MemorySource {
    /// A source over `bytes`; a `Vec<u8>` is copied once into the shared allocation.
    pub fn new(name: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { name: Cow::Owned(name.into()), bytes: Bytes::Shared(bytes.into()) }
    }

    /// A source over bytes embedded in the program.
    pub const fn from_static(name: &'static str, bytes: &'static [u8]) -> Self {
        Self { name: Cow::Borrowed(name), bytes: Bytes::Static(bytes) }
    }

    /// The bytes themselves.
    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Static(bytes) => bytes,
            Bytes::Shared(bytes) => bytes,
        }
    }
}

impl ByteSource for MemorySource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.bytes().len() as u64
    }

    fn locality(&self) -> Locality {
        Locality::Memory
    }

    fn read<'a>(&'a self, offset: u64, len: usize) -> BoxFuture<'a, Result<Vec<u8>, SourceError>> {
        Box::pin(async move {
            SourceError::check(&self.name, self.len(), offset, len)?;
            let mut out = SourceError::allocate(&self.name, len)?;
            let start = offset as usize;
            out.copy_from_slice(&self.bytes()[start..start + len]);
            Ok(out)
        })
    }
}
