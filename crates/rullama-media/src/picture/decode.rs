//! Files of pictures.

use super::{MAX_PIXELS, Picture, check, jpeg};
use crate::MediaError;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::io::Cursor;

/// Most bytes of a file.
pub const MAX_BYTES: u64 = 128 << 20;

/// Bytes that decoding may take beside the pixels.
const DECODER_BYTES: u64 = 64 << 20;

const FORMATS: [(ImageFormat, &str); 5] = [
    (ImageFormat::Png, "PNG"),
    (ImageFormat::Jpeg, "JPEG"),
    (ImageFormat::Gif, "GIF"),
    (ImageFormat::WebP, "WebP"),
    (ImageFormat::Bmp, "BMP"),
];

impl Picture {
    /// Reads a PNG, JPEG, GIF (its first frame), WebP or BMP file, told by its first bytes: turned as its EXIF orientation says, grey
    /// and palettes as colours, transparency on white.
    ///
    /// # Errors
    /// Another format, a damaged or cut file, more bytes or pixels than there may be; nothing is decoded before the size is known.
    pub fn decode(bytes: &[u8]) -> Result<Picture, MediaError> {
        let (format, name, mut decoder, _) = open(bytes)?;
        let damaged = |error: image::ImageError| MediaError::Damaged { format: name, message: error.to_string() };
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        if format == ImageFormat::Jpeg && !jpeg::is_whole(bytes) {
            return Err(MediaError::Damaged { format: name, message: "it ends before the picture does".into() });
        }
        let mut picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
        picture.apply_orientation(orientation);
        let (width, height) = (picture.width(), picture.height());
        if picture.color().has_alpha() {
            Picture::from_rgba(width, height, &picture.into_rgba8().into_raw())
        } else {
            Picture::new(width, height, picture.into_rgb8().into_raw())
        }
    }

    /// Width and height of a file's picture as it is shown, by its beginning alone.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), as far as the beginning tells.
    pub fn size_of_file(bytes: &[u8]) -> Result<(u32, u32), MediaError> {
        let (_, _, mut decoder, _) = open(bytes)?;
        let (width, height) = decoder.dimensions();
        let turned = matches!(
            decoder.orientation().unwrap_or(Orientation::NoTransforms),
            Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
        );
        Ok(if turned { (height, width) } else { (width, height) })
    }
}

/// A decoder for a picture that is not too large, and the bounds of its memory.
pub(crate) fn open(bytes: &[u8]) -> Result<(ImageFormat, &'static str, impl ImageDecoder + '_, Limits), MediaError> {
    if bytes.is_empty() {
        return Err(MediaError::Empty);
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err(MediaError::FileTooLarge { bytes: bytes.len() as u64, limit: MAX_BYTES });
    }
    let format = image::guess_format(bytes).map_err(|_| MediaError::UnknownFormat)?;
    let name = FORMATS.iter().find(|known| known.0 == format).map(|known| known.1).ok_or(MediaError::UnknownFormat)?;
    let damaged = |error: image::ImageError| MediaError::Damaged { format: name, message: error.to_string() };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    // Up to 16 bits for each of four channels.
    limits.max_alloc = Some(8 * MAX_PIXELS + DECODER_BYTES);
    reader.limits(limits.clone());
    let decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    check(width, height)?;
    Ok((format, name, decoder, limits))
}
