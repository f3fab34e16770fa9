//! The frames of videos: folders, animated pictures, and what an installed ffmpeg reads.

mod ffmpeg;

use crate::media;
use anyhow::{Context, Result, bail};
use rullama::MediaKind;
use rullama::perception::Picture;
use rullama::perception::video::{DEFAULT_FPS, Frame, is_picture, sampled};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Most files of a folder.
const MOST_FILES: usize = 100_000;

/// The frames that are seen of a video; a soft token is a square of `side` pixels. `fps` is for folders.
///
/// # Errors
/// What is wrong with it; no ffmpeg where one is needed.
pub fn frames(path: &Path, side: u32, fps: Option<f64>) -> Result<Vec<Frame>> {
    if path.is_dir() {
        return of_folder(path, side, fps.unwrap_or(DEFAULT_FPS));
    }
    let mut beginning = Vec::new();
    File::open(path)?.take(64).read_to_end(&mut beginning)?;
    if is_picture(&beginning) {
        return Ok(Frame::of_animation(&media::bytes(path)?, side)?);
    }
    if beginning.is_empty() {
        bail!("it is empty. Give a folder of frames, an animated GIF, WebP or PNG, or another video");
    }
    ffmpeg::frames(path, side)
}

/// Whether a folder has pictures.
pub fn is_folder_of_frames(path: &Path) -> bool {
    path.is_dir() && pictures(path).is_ok_and(|pictures| !pictures.is_empty())
}

/// The pictures of a folder in the order of their names, numbers in these by their value.
fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut pictures = Vec::new();
    for (n, entry) in fs::read_dir(folder)?.enumerate() {
        if n == MOST_FILES {
            bail!("the folder has more than {MOST_FILES} files. Give one with fewer");
        }
        let path = entry?.path();
        let name = path.to_string_lossy();
        if media::kind_of_name(&name) == Some(MediaKind::Image) && path.is_file() {
            pictures.push(path);
        }
    }
    pictures.sort_by_cached_key(|path| by_number(&path.file_name().unwrap_or_default().to_string_lossy()));
    Ok(pictures)
}

/// A name's runs of digits and of other characters: digits without zeros before them, shorter ones first.
fn by_number(name: &str) -> Vec<(usize, String)> {
    let runs: Vec<char> = name.chars().collect();
    let runs = runs.chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit());
    let key = |run: &[char]| {
        let text: String = run.iter().collect();
        match run.first() {
            Some(first) if first.is_ascii_digit() => {
                let digits = text.trim_start_matches('0').to_owned();
                (digits.len(), digits)
            }
            _ => (usize::MAX, text),
        }
    };
    runs.map(key).collect()
}

fn of_folder(folder: &Path, side: u32, fps: f64) -> Result<Vec<Frame>> {
    let pictures = pictures(folder)?;
    if pictures.is_empty() {
        bail!("the folder has no pictures ({}). Give one with the frames of a video", media::PICTURES.join(", "));
    }
    let frame = |n: usize| {
        let path = &pictures[n];
        let read = || Ok(Frame::fitted(&Picture::decode(&media::bytes(path)?)?, n as f64 / fps, side)?);
        let read: Result<Frame> = read();
        read.with_context(|| format!("its frame {} is none", path.display()))
    };
    sampled(pictures.len()).into_iter().map(frame).collect()
}

#[cfg(test)]
mod tests {
    use super::by_number;

    #[test]
    fn names_are_in_the_order_of_their_numbers() {
        let mut names = ["frame10.png", "frame2.png", "frame002b.png", "frame1.png", "a.png", "0100.png", "99.png"];
        names.sort_by_cached_key(|name| by_number(name));
        assert_eq!(names, ["99.png", "0100.png", "a.png", "frame1.png", "frame2.png", "frame002b.png", "frame10.png"]);
    }
}
