//! Pictures: pixels, the size that a tower wants, its patches.

#[cfg(feature = "decode")]
mod decode;
#[cfg(feature = "decode")]
mod jpeg;
mod patches;
mod resample;
mod size;

#[cfg(feature = "decode")]
pub use decode::MAX_BYTES;
#[cfg(feature = "decode")]
pub(crate) use decode::open;
pub use patches::Patches;
pub use size::{BUDGETS, DEFAULT_BUDGET, SizeRule, Target};

use crate::MediaError;
use sha2::{Digest, Sha256};

/// Most pixels of a picture.
pub const MAX_PIXELS: u64 = 100_000_000;

/// Pixels `[height, width, 3]`: red, green, blue of 8 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Picture {
    /// A picture of its pixels, row by row.
    ///
    /// # Errors
    /// No pixels, more than [`MAX_PIXELS`], another number of bytes than that of the pixels.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self, MediaError> {
        check(width, height)?;
        if rgb.len() as u64 != 3 * u64::from(width) * u64::from(height) {
            return Err(MediaError::PixelCount { bytes: rgb.len(), width, height });
        }
        Ok(Picture { width, height, rgb })
    }

    /// A picture of pixels with alpha `[height, width, 4]`, laid on white.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_rgba(width: u32, height: u32, rgba: &[u8]) -> Result<Self, MediaError> {
        check(width, height)?;
        if rgba.len() as u64 != 4 * u64::from(width) * u64::from(height) {
            return Err(MediaError::PixelCount { bytes: rgba.len(), width, height });
        }
        let rgb = rgba.chunks_exact(4).flat_map(|pixel| [0, 1, 2].map(|i| on_white(pixel[i], pixel[3]))).collect();
        Ok(Picture { width, height, rgb })
    }

    pub fn width(&self) -> u32 {
        self.width
    }

    pub fn height(&self) -> u32 {
        self.height
    }

    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// SHA-256 of size and pixels: the same for the same picture, however it was stored.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"picture");
        hash.update(self.width.to_le_bytes());
        hash.update(self.height.to_le_bytes());
        hash.update(&self.rgb);
        hash.finalize().into()
    }

    /// The picture in the size that a rule gives, cut into patches of `patch` pixels a side, `pool` of them a side for a soft token.
    ///
    /// # Errors
    /// A size that the rule has no patches for.
    pub fn patches(&self, rule: SizeRule, patch: u32, pool: u32) -> Result<Patches, MediaError> {
        let target = rule.target(self.width, self.height, patch * pool)?;
        Ok(Patches::cut(&self.fitted(target), patch))
    }
}

fn check(width: u32, height: u32) -> Result<(), MediaError> {
    let [w, h] = [u64::from(width), u64::from(height)];
    match w * h {
        0 => Err(MediaError::NoPixels { width, height }),
        pixels if pixels > MAX_PIXELS => Err(MediaError::TooManyPixels { width: w, height: h, limit: MAX_PIXELS }),
        _ => Ok(()),
    }
}

/// A value under alpha over white, as Pillow blends: `(x a + 255 (255 - a)) / 255`, rounded.
fn on_white(x: u8, alpha: u8) -> u8 {
    let sum = u32::from(x) * u32::from(alpha) + 255 * (255 - u32::from(alpha)) + 128;
    (((sum >> 8) + sum) >> 8) as u8
}
