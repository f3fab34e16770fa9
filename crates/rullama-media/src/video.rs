//! Videos as frames: which are seen, when, and those of animated pictures.

use crate::picture::Picture;
use crate::{MediaError, SizeRule};

/// Most frames of a video that are seen.
pub const FRAMES: usize = 32;

/// Soft tokens that a frame may take.
pub const FRAME_BUDGET: u32 = 70;

/// Frames a second where nothing says how many.
pub const DEFAULT_FPS: f64 = 24.0;

/// Most pixels of all frames of an animated picture.
pub const MAX_VIDEO_PIXELS: u64 = 1 << 30;

/// A frame that is seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// In the size that its budget gives: for [`SizeRule::Exact`].
    pub picture: Picture,
    /// Since the beginning.
    pub seconds: f64,
}

impl Frame {
    /// A picture in the size of a frame's budget, where a soft token is a square of `side` pixels.
    ///
    /// # Errors
    /// A picture that no size within the budget fits.
    pub fn fitted(picture: &Picture, seconds: f64, side: u32) -> Result<Frame, MediaError> {
        let target = SizeRule::Fill { budget: FRAME_BUDGET }.target(picture.width(), picture.height(), side)?;
        Ok(Frame { picture: picture.fitted(target), seconds })
    }
}

/// The numbers of the frames that are seen of `total`: all, or [`FRAMES`] at even distances, `floor(i total / FRAMES)`. Source:
/// transformers, `video_processing_utils.py`.
pub fn sampled(total: usize) -> Vec<usize> {
    if total <= FRAMES { (0..total).collect() } else { (0..FRAMES).map(|i| i * total / FRAMES).collect() }
}

#[cfg(feature = "decode")]
mod animated {
    use super::*;
    use crate::picture::open;
    use image::codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
    use image::{AnimationDecoder, ImageDecoder, ImageFormat, Limits};
    use std::io::Cursor;

    /// Seconds of a frame whose file says less than [`LEAST_DELAY`], as browsers show it.
    const DEFAULT_DELAY: f64 = 0.1;
    const LEAST_DELAY: f64 = 0.02;

    /// Whether a file that begins so is a picture.
    pub fn is_picture(beginning: &[u8]) -> bool {
        image::guess_format(beginning).is_ok()
    }

    impl Frame {
        /// The frames that are seen of an animated GIF, WebP or PNG; of another picture that one. A soft token is a square of `side` pixels.
        ///
        /// # Errors
        /// Those of [`Picture::decode`], for any frame; more than [`MAX_VIDEO_PIXELS`].
        pub fn of_animation(bytes: &[u8], side: u32) -> Result<Vec<Frame>, MediaError> {
            let Some(frames) = frames(bytes)? else {
                return Ok(vec![Frame::fitted(&Picture::decode(bytes)?, 0.0, side)?]);
            };
            // How many there are is known only when all were decoded, and all together would fill the memory.
            let total = frames.count()?;
            let wanted = sampled(total);
            let mut seen = Vec::with_capacity(wanted.len());
            let mut seconds = 0.0;
            let Some(again) = self::frames(bytes)? else { return Ok(seen) };
            for (n, frame) in again.frames.enumerate() {
                if seen.len() == wanted.len() {
                    break;
                }
                let frame = frame.map_err(|error| damaged(again.format, &error))?;
                let (numerator, denominator) = frame.delay().numer_denom_ms();
                let delay = f64::from(numerator) / f64::from(denominator.max(1)) / 1000.0;
                if wanted[seen.len()] == n {
                    let pixels = frame.into_buffer();
                    let picture = Picture::from_rgba(pixels.width(), pixels.height(), pixels.as_raw())?;
                    seen.push(Frame::fitted(&picture, seconds, side)?);
                }
                seconds += if delay < LEAST_DELAY { DEFAULT_DELAY } else { delay };
            }
            Ok(seen)
        }
    }

    struct Frames<'a> {
        format: &'static str,
        /// Pixels of each.
        pixels: u64,
        frames: image::Frames<'a>,
    }

    impl Frames<'_> {
        fn count(self) -> Result<usize, MediaError> {
            let mut count = 0;
            for frame in self.frames {
                frame.map_err(|error| damaged(self.format, &error))?;
                count += 1;
                if count as u64 * self.pixels > MAX_VIDEO_PIXELS {
                    return Err(MediaError::LongVideo { limit: MAX_VIDEO_PIXELS });
                }
            }
            if count == 0 { Err(MediaError::NoFrames) } else { Ok(count) }
        }
    }

    fn damaged(format: &'static str, error: &image::ImageError) -> MediaError {
        MediaError::Damaged { format, message: error.to_string() }
    }

    /// The frames of a file; `None` where it is no animation.
    fn frames(bytes: &[u8]) -> Result<Option<Frames<'_>>, MediaError> {
        let (kind, format, decoder, limits) = open(bytes)?;
        let (width, height) = decoder.dimensions();
        let pixels = u64::from(width) * u64::from(height);
        drop(decoder);
        let file = Cursor::new(bytes);
        let frames = of_format(kind, file, limits).map_err(|error| damaged(format, &error))?;
        Ok(frames.map(|frames| Frames { format, pixels, frames }))
    }

    fn of_format<'a>(kind: ImageFormat, file: Cursor<&'a [u8]>, limits: Limits) -> image::ImageResult<Option<image::Frames<'a>>> {
        Ok(match kind {
            ImageFormat::Gif => {
                let mut decoder = GifDecoder::new(file)?;
                decoder.set_limits(limits)?;
                Some(decoder.into_frames())
            }
            ImageFormat::WebP => {
                let mut decoder = WebPDecoder::new(file)?;
                decoder.set_limits(limits)?;
                decoder.has_animation().then(|| decoder.into_frames())
            }
            ImageFormat::Png => {
                let decoder = PngDecoder::with_limits(file, limits)?;
                if decoder.is_apng()? { Some(decoder.apng()?.into_frames()) } else { None }
            }
            _ => None,
        })
    }
}

#[cfg(feature = "decode")]
pub use animated::is_picture;

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers as transformers takes them.
    #[test]
    fn frames_are_taken_at_even_distances() {
        assert_eq!((sampled(0), sampled(3), sampled(32)), (vec![], vec![0, 1, 2], (0..32).collect()));
        let of_hundred =
            [0, 3, 6, 9, 12, 15, 18, 21, 25, 28, 31, 34, 37, 40, 43, 46, 50, 53, 56, 59, 62, 65, 68, 71, 75, 78, 81, 84, 87, 90, 93, 96];
        assert_eq!((sampled(100), sampled(33)), (of_hundred.to_vec(), (0..32).collect()));
    }
}
