//! Animated pictures as videos: the frames that are seen and when, and files that are damaged or too long.

use image::codecs::gif::GifEncoder;
use image::{Delay, ImageFormat, RgbaImage};
use rullama_media::MediaError;
use rullama_media::video::{FRAMES, Frame, MAX_VIDEO_PIXELS};
use std::io::Cursor;

/// Three frames of 16 x 12 pixels, of 0.5, 1.5 and 0.5 s: a bar of red, green and blue moves to the right, on black, in the PNG on
/// nothing.
const FILES: [(&str, &[u8]); 3] = [
    ("GIF", include_bytes!("data/video/moves.gif")),
    ("WebP", include_bytes!("data/video/moves.webp")),
    ("PNG", include_bytes!("data/video/moves.png")),
];

fn three_formats_move() {
    for (name, file) in FILES {
        let frames = Frame::of_animation(file, 48).unwrap();
        let times: Vec<f64> = frames.iter().map(|frame| frame.seconds).collect();
        assert_eq!(times, [0.0, 0.5, 2.0], "{name}");
        for (n, frame) in frames.iter().enumerate() {
            // 70 soft tokens: 9 x 7 squares of 48.
            assert_eq!((frame.picture.width(), frame.picture.height()), (432, 336), "{name}");
            let pixel = |x: usize| {
                let at = (6 * 336 / 12 * 432 + x * 432 / 16) * 3;
                [0, 1, 2].map(|channel| frame.picture.rgb()[at + channel])
            };
            let bar = pixel(n * 4 + 2);
            let other = pixel((n * 4 + 6) % 12);
            let channel = |pixel: [u8; 3]| (0..3).max_by_key(|i| pixel[*i]).unwrap();
            assert!(bar[n] > 240 && channel(bar) == n, "{name} {n}: {bar:?}");
            let ground = if name == "PNG" { 255 } else { 10 };
            assert!(other.iter().all(|value| value.abs_diff(ground) < 12), "{name} {n}: {other:?}");
        }
    }
}

fn a_picture_is_a_video_of_one_frame() {
    let mut bytes = Cursor::new(Vec::new());
    image::RgbImage::new(8, 8).write_to(&mut bytes, ImageFormat::Png).unwrap();
    let frames = Frame::of_animation(bytes.get_ref(), 48).unwrap();
    assert_eq!((frames.len(), frames[0].seconds, frames[0].picture.width()), (1, 0.0, 384));
    assert_eq!(Frame::of_animation(b"", 48), Err(MediaError::Empty));
    assert_eq!(Frame::of_animation(b"no picture", 48), Err(MediaError::UnknownFormat));
}

fn damaged_files_are_refused() {
    for (name, file) in FILES {
        for end in 0..file.len() {
            // Behind the last frame may stand an end that tells nothing new.
            let read = Frame::of_animation(&file[..end], 48);
            assert!(read.is_err() || end + 20 >= file.len() || read.unwrap().len() < 3, "{name}: {end} of {} bytes", file.len());
        }
        for at in 0..file.len() {
            let mut bytes = file.to_vec();
            bytes[at] ^= 0xff;
            let _ = Frame::of_animation(&bytes, 48);
        }
    }
}

/// An animated GIF of so many equal frames.
fn gif(width: u32, height: u32, frames: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, 30);
    let frame = image::Frame::from_parts(RgbaImage::new(width, height), 0, 0, Delay::from_numer_denom_ms(40, 1));
    (0..frames).for_each(|_| encoder.encode_frame(frame.clone()).unwrap());
    drop(encoder);
    bytes
}

fn of_many_frames_few_are_seen() {
    let frames = Frame::of_animation(&gif(2, 2, 10_000), 48).unwrap();
    assert_eq!(frames.len(), FRAMES);
    assert!((frames[31].seconds - 9687.0 * 0.04).abs() < 1e-6, "{}", frames[31].seconds);
    assert_eq!(frames[31].seconds as u64, 387);
}

/// A small file may claim a canvas of which few frames fill the memory: it is left as soon as there are too many.
fn huge_canvases_are_refused() {
    let small = gif(2, 2, 4000);
    let mut wide = small.clone();
    wide[6..10].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    assert!(matches!(Frame::of_animation(&wide, 48), Err(MediaError::TooManyPixels { .. })));
    let mut large = small;
    // 1,024 x 1,024: 1,024 frames of them are the most.
    large[6..10].copy_from_slice(&[0, 4, 0, 4]);
    assert_eq!(Frame::of_animation(&large, 48), Err(MediaError::LongVideo { limit: MAX_VIDEO_PIXELS }));
}

rullama_testing::tests! {
    three_formats_move,
    a_picture_is_a_video_of_one_frame,
    damaged_files_are_refused,
    of_many_frames_few_are_seen,
    huge_canvases_are_refused,
}
