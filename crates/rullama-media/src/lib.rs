//! Pictures and sounds on their way to a tower: pure functions over bytes, pixels and samples.
//!
//! With the feature `decode` files are read; without it callers bring pixels, as a page does, whose browser has decoders.

mod error;
pub mod picture;
pub mod sound;
pub mod video;

pub use error::MediaError;
pub use picture::{Patches, Picture, SizeRule};
pub use sound::Sound;
