//! Files of pictures that are damaged, cut, lying or none; and what a good one may say about itself.

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use rullama_media::{MediaError, Picture};
use std::io::Cursor;

const FORMATS: [ImageFormat; 5] = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Bmp];

fn sample(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 40) as u8, (y * 50) as u8, 7]))
}

fn file(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(picture.clone()).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn five_formats_are_read() {
    for format in FORMATS {
        let picture = Picture::decode(&file(&sample(6, 5), format)).unwrap();
        assert_eq!((picture.width(), picture.height()), (6, 5), "{format:?}");
        let exact = matches!(format, ImageFormat::Png | ImageFormat::Bmp | ImageFormat::WebP);
        assert!(!exact || picture.rgb() == sample(6, 5).as_raw(), "{format:?}");
    }
}

fn a_file_cut_anywhere_is_refused() {
    for format in FORMATS {
        let whole = file(&sample(40, 30), format);
        // Behind the pixels may stand an end that tells nothing new.
        let end_mark = if matches!(format, ImageFormat::Png) { 20 } else { 4 };
        for end in 0..whole.len() {
            let read = Picture::decode(&whole[..end]);
            assert!(read.is_err() || end + end_mark >= whole.len(), "{format:?}: {end} of {} bytes", whole.len());
        }
    }
}

fn flipped_bytes_never_panic() {
    for format in FORMATS {
        let whole = file(&sample(9, 7), format);
        for at in 0..whole.len().min(400) {
            for flip in [0xff, 0x01, 0x80] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                let _ = Picture::decode(&bytes);
            }
        }
    }
}

fn what_is_no_picture_is_said() {
    assert_eq!(Picture::decode(&[]), Err(MediaError::Empty));
    let wav = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0".to_vec();
    for bytes in [b"hello".to_vec(), vec![0; 4096], wav, b"%PDF-1.7".to_vec(), b"GGUF\x03\0\0\0".to_vec()] {
        assert_eq!(Picture::decode(&bytes), Err(MediaError::UnknownFormat));
        assert_eq!(Picture::size_of_file(&bytes), Err(MediaError::UnknownFormat));
    }
    // A file of another kind with a picture's first bytes.
    assert!(matches!(Picture::decode(b"\x89PNG\r\n\x1a\nGGUF"), Err(MediaError::Damaged { format: "PNG", .. })));
}

/// A PNG that says that it is large, with as good as nothing in it.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = file(&sample(1, 1), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let sum = bytes[12..29]
        .iter()
        .fold(!0u32, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (0u32.wrapping_sub(sum & 1)))));
    bytes[29..33].copy_from_slice(&(!sum).to_be_bytes());
    bytes
}

fn bombs_are_refused_before_they_are_decoded() {
    for (width, height) in [(60_000, 60_000), (0x7fff_ffff, 2), (1, 0x7fff_ffff), (20_000, 20_000)] {
        let error = Picture::decode(&bomb(width, height)).unwrap_err();
        assert!(matches!(error, MediaError::TooManyPixels { .. } | MediaError::Damaged { .. }), "{error}");
    }
    assert!(matches!(Picture::decode(&bomb(9_000, 9_000)), Err(MediaError::Damaged { .. })));
}

fn strips_are_read() {
    for (width, height) in [(1, 30_000), (30_000, 1)] {
        let picture = Picture::decode(&file(&sample(width, height), ImageFormat::Png)).unwrap();
        assert_eq!((picture.width(), picture.height()), (width, height));
    }
}

/// A JPEG whose EXIF says how it is turned.
fn turned(orientation: u8) -> Vec<u8> {
    // Halves of one colour survive the compression: red above, blue below.
    let picture = RgbImage::from_fn(32, 64, |_, y| if y < 32 { Rgb([250, 0, 0]) } else { Rgb([0, 0, 250]) });
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 95).encode_image(&picture).unwrap();
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let mut bytes = jpeg[..2].to_vec();
    bytes.extend([0xff, 0xe1]);
    bytes.extend(((exif.len() + 2) as u16).to_be_bytes());
    bytes.extend(exif);
    bytes.extend(&jpeg[2..]);
    bytes
}

fn pictures_stand_as_their_exif_says() {
    let red_at = |picture: &Picture, x: u32, y: u32| picture.rgb()[((y * picture.width() + x) * 3) as usize] > 128;
    // Orientation; size; where red is.
    let cases = [(1, (32, 64), (16, 5)), (3, (32, 64), (16, 58)), (6, (64, 32), (58, 16)), (8, (64, 32), (5, 16)), (77, (32, 64), (16, 5))];
    for (orientation, size, (x, y)) in cases {
        let picture = Picture::decode(&turned(orientation)).unwrap();
        assert_eq!(Picture::size_of_file(&turned(orientation)).unwrap(), size, "{orientation}");
        assert_eq!((picture.width(), picture.height()), size, "{orientation}");
        assert!(red_at(&picture, x, y) && !red_at(&picture, picture.width() - 1 - x, picture.height() - 1 - y), "{orientation}");
    }
}

fn the_same_picture_has_the_same_hash() {
    let [png, bmp] = [ImageFormat::Png, ImageFormat::Bmp].map(|format| Picture::decode(&file(&sample(6, 5), format)).unwrap().hash());
    assert_eq!(png, bmp);
    let turned = Picture::new(5, 6, sample(6, 5).into_raw()).unwrap();
    assert_ne!(png, turned.hash());
}

rullama_testing::tests! {
    five_formats_are_read,
    a_file_cut_anywhere_is_refused,
    flipped_bytes_never_panic,
    what_is_no_picture_is_said,
    bombs_are_refused_before_they_are_decoded,
    strips_are_read,
    pictures_stand_as_their_exif_says,
    the_same_picture_has_the_same_hash,
}
