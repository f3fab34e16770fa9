//! Videos in messages, frame by frame.

use super::json::size;
use super::media::{Frame, MediaKind, MediaPart};
use serde_json::Value;

/// Most frames of a video. Source: transformers, `video_processing_gemma4.py`.
const MOST: usize = 32;
/// Frames a second where nothing says how many.
const DEFAULT_FPS: f64 = 24.0;

/// The frames of a part of type `video`: pictures in a list `frames` or `video`, each a source or an object with one, or a number
/// `frames` of pictures whose `width` and `height` are said. A frame is seen at its `seconds`, else at its place in `timestamps`,
/// else at its number, or its place in `frame_indices`, through `fps`. `None` for a part that says nothing of frames.
///
/// # Errors
/// No frame, or more than [`MOST`]; a frame without data; a time that is none.
pub(super) fn frames(part: &Value) -> Result<Option<Vec<MediaPart>>, String> {
    let fps = part.get("fps").map_or(Some(DEFAULT_FPS), Value::as_f64).filter(|fps| *fps > 0.0);
    let fps = fps.ok_or("a video's `fps` is no number above 0")?;
    let at = |list: &str, i: usize| part.get(list).and_then(|list| list.get(i));
    let second = |i: usize, own: Option<&Value>| {
        let said = own.or_else(|| at("timestamps", i));
        let seconds = match said {
            Some(said) => said.as_f64(),
            None => at("frame_indices", i).map_or(Some(i as f64), Value::as_f64).map(|index| index / fps),
        };
        let seconds = seconds.filter(|seconds| (0.0..1e9).contains(seconds));
        seconds.ok_or_else(|| format!("the time of a video's frame {i} is no number of seconds"))
    };
    let frame = |i: usize, source: &str, own: Option<&Value>, size| {
        let frame = Frame { number: i as u32, seconds: second(i, own)? as u64 };
        Ok(MediaPart { size, frame: Some(frame), ..MediaPart::new(MediaKind::Video, source) })
    };
    let frames: Vec<MediaPart> = match part.get("frames").or_else(|| part.get("video").filter(|video| video.is_array())) {
        Some(Value::Array(list)) => {
            let one = |(i, given): (usize, &Value)| {
                let source = source(given).ok_or_else(|| format!("a video's frame {i} has no data"))?;
                frame(i, source, given.get("seconds"), None)
            };
            // One more than there may be says as much as all.
            list.iter().take(MOST + 1).enumerate().map(one).collect::<Result<_, String>>()?
        }
        Some(Value::Number(count)) => {
            let count = count.as_u64().map_or(MOST + 1, |count| count.min(MOST as u64 + 1) as usize);
            (0..count).map(|i| frame(i, "", None, size(part))).collect::<Result<_, String>>()?
        }
        Some(_) => return Err("a video's `frames` are neither a list nor a number".to_owned()),
        None => return Ok(None),
    };
    match frames.len() {
        0 => Err("a video has no frames".to_owned()),
        n if n > MOST => Err(format!("a video has more than {MOST} frames: give that many, at even distances, with their `timestamps`")),
        _ => Ok(Some(frames)),
    }
}

/// Where a frame comes from: a text, or an object with one under a usual name.
fn source(frame: &Value) -> Option<&str> {
    match frame {
        Value::String(text) => Some(text.as_str()),
        Value::Object(_) => ["source", "image", "image_url", "url", "data"].iter().find_map(|name| source(frame.get(*name)?)),
        _ => None,
    }
    .filter(|text| !text.is_empty())
}
