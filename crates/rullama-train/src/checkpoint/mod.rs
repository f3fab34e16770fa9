//! A training state as a file that is whole or refused.
//!
//! ```text
//! RULLATR1                      8 bytes
//! length of the file            u64, little endian
//! length of the header          u32, little endian
//! header                        JSON
//! values                        f32, little endian: of each target A, B, m of both, v of both; then of each target
//!                               A and B of the best state and of the calm one, as far as there are
//! SHA-256 of all before it      32 bytes
//! ```

mod error;
mod file;
#[cfg(feature = "files")]
mod folder;
mod state;

pub use error::CheckpointError;
pub(crate) use error::other;
pub use file::{Checkpoint, TargetValues, most_bytes};
#[cfg(feature = "files")]
pub use folder::Folder;
pub use state::{Best, Identity, Position, State, TargetShape};
