//! Sounds: samples of one channel at 16 kHz, windows of them, and the log-mel spectrogram that a tower hears.

#[cfg(feature = "decode")]
mod decode;
mod mel;
#[cfg(feature = "decode")]
mod resample;

#[cfg(feature = "decode")]
pub use decode::ENDINGS;
pub use mel::log_mel;

use crate::MediaError;
use sha2::{Digest, Sha256};

/// Samples a second that towers hear.
pub const RATE: u32 = 16_000;

/// Seconds of the longest sound.
pub const MAX_SECONDS: u32 = 1800;

/// Samples of a window: 30 s, more than which a tower does not hear at once.
pub const WINDOW: usize = 30 * RATE as usize;

/// Samples of one channel at [`RATE`], in -1 ..= 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Sound {
    samples: Vec<f32>,
}

impl Sound {
    /// A sound of its samples, one channel at [`RATE`].
    ///
    /// # Errors
    /// No samples, more than [`MAX_SECONDS`] of them, one that is not finite.
    pub fn new(samples: Vec<f32>) -> Result<Self, MediaError> {
        if samples.is_empty() {
            return Err(MediaError::NoSamples);
        }
        if samples.len() > (MAX_SECONDS * RATE) as usize {
            return Err(MediaError::TooLong { seconds: samples.len() as u64 / u64::from(RATE), limit: MAX_SECONDS });
        }
        match samples.iter().position(|sample| !sample.is_finite()) {
            Some(at) => Err(MediaError::NotFinite { value: samples[at], seconds: at as f64 / f64::from(RATE) }),
            None => Ok(Sound { samples }),
        }
    }

    pub fn samples(&self) -> &[f32] {
        &self.samples
    }

    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(RATE)
    }

    /// SHA-256 of the samples.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"sound");
        self.samples.iter().for_each(|sample| hash.update(sample.to_le_bytes()));
        hash.finalize().into()
    }

    /// The log-mel spectrograms `[frames, bins]` of the sound's windows; a rest of less than a frame behind a window is left out.
    ///
    /// # Errors
    /// A sound that is shorter than a frame.
    pub fn mel(&self, bins: u32) -> Result<Vec<Vec<f32>>, MediaError> {
        let all: Vec<Vec<f32>> = self.samples.chunks(WINDOW).map(|window| log_mel(window, bins)).filter(|mel| !mel.is_empty()).collect();
        if all.is_empty() { Err(MediaError::TooShort { samples: self.samples.len(), least: mel::LEAST }) } else { Ok(all) }
    }

    /// The sound's windows in frames of `frame` samples, the last one filled up with zeros.
    pub fn frames(&self, frame: u32) -> Vec<Vec<f32>> {
        let frame = frame.max(1) as usize;
        // Whole frames, so that only the sound's end is filled up.
        let window = (WINDOW / frame).max(1) * frame;
        let filled = |window: &[f32]| {
            let mut samples = window.to_vec();
            samples.resize(window.len().next_multiple_of(frame), 0.0);
            samples
        };
        self.samples.chunks(window).map(filled).collect()
    }
}
