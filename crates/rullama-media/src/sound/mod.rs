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

/// Rows of each spectrogram that [`Sound::mel`] gives of so many samples.
///
/// # Errors
/// Those of [`Sound::new`] for their number; a sound that is shorter than a frame.
pub fn mel_rows(samples: usize) -> Result<Vec<u32>, MediaError> {
    let rows: Vec<u32> = windows(samples, WINDOW)?.map(mel::rows).filter(|rows| *rows > 0).map(|rows| rows as u32).collect();
    if rows.is_empty() { Err(MediaError::TooShort { samples, least: mel::LEAST }) } else { Ok(rows) }
}

/// Rows of each window that [`Sound::frames`] gives of so many samples.
///
/// # Errors
/// Those of [`Sound::new`] for their number.
pub fn frame_rows(samples: usize, frame: u32) -> Result<Vec<u32>, MediaError> {
    let frame = frame.max(1) as usize;
    Ok(windows(samples, whole_window(frame))?.map(|samples| samples.div_ceil(frame) as u32).collect())
}

/// The lengths of a sound's windows.
fn windows(samples: usize, window: usize) -> Result<impl Iterator<Item = usize>, MediaError> {
    check(samples)?;
    Ok((0..samples).step_by(window).map(move |start| window.min(samples - start)))
}

/// Whole frames, so that only the sound's end is filled up.
fn whole_window(frame: usize) -> usize {
    (WINDOW / frame).max(1) * frame
}

fn check(samples: usize) -> Result<(), MediaError> {
    match samples {
        0 => Err(MediaError::NoSamples),
        many if many > (MAX_SECONDS * RATE) as usize => {
            Err(MediaError::TooLong { seconds: many as u64 / u64::from(RATE), limit: MAX_SECONDS })
        }
        _ => Ok(()),
    }
}

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
        check(samples.len())?;
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
        let filled = |window: &[f32]| {
            let mut samples = window.to_vec();
            samples.resize(window.len().next_multiple_of(frame), 0.0);
            samples
        };
        self.samples.chunks(whole_window(frame)).map(filled).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_known_before_there_are_any() {
        for samples in [1, 159, 160, 161, 320, 321, 5000, WINDOW - 1, WINDOW, WINDOW + 1, WINDOW + 160, WINDOW + 161, 2 * WINDOW + 7000] {
            let sound = Sound::new(vec![0.25; samples]).unwrap();
            let mel = sound.mel(4).map(|windows| windows.iter().map(|mel| mel.len() as u32 / 4).collect::<Vec<_>>());
            assert_eq!(mel, mel_rows(samples), "{samples}");
            let frames: Vec<u32> = sound.frames(640).iter().map(|window| window.len() as u32 / 640).collect();
            assert_eq!(Ok(frames), frame_rows(samples, 640), "{samples}");
        }
        assert_eq!(mel_rows(0), Err(MediaError::NoSamples));
        assert!(matches!(frame_rows(1801 * RATE as usize, 640), Err(MediaError::TooLong { .. })));
    }
}
