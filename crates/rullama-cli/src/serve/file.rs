//! One file as an answer: type, tag, and the part that was asked for.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::fs::Metadata;
use std::path::Path;
use std::time::UNIX_EPOCH;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

/// Bytes read and sent at a time.
const PIECE: usize = 256 << 10;

/// Answers with a file, or with what says why not. With the digest of a `model` only if it is one.
///
/// Source: RFC 9110, sections 13 and 14. Several ranges in one request are answered with the whole.
pub async fn answer(path: &Path, request: &HeaderMap, model: Option<&str>) -> Response {
    let Some((mut file, about)) = open(path, model.is_some()).await else { return StatusCode::NOT_FOUND.into_response() };
    let length = about.len();
    // A file under a digest should never change; one that did is another.
    let tag = model.map_or_else(|| version(&about), |digest| format!("{digest}-{:x}", modified(&about)));
    let tag = format!("\"{tag}\"");
    let text = |name: HeaderName| request.get(name).and_then(|value| value.to_str().ok());
    let common = [
        (header::ETAG, tag.clone()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        // The browser asks again each time and gets 304 for what it has.
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::CONTENT_TYPE, content_type(path).to_owned()),
    ];
    if text(header::IF_NONE_MATCH).is_some_and(|tags| tags.split(',').any(|known| known.trim().trim_start_matches("W/") == tag)) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let fresh = text(header::IF_RANGE).is_none_or(|known| known == tag);
    let range = if fresh { text(header::RANGE).map_or(Part::Whole, |range| part(range, length)) } else { Part::Whole };
    let (status, start, end) = match range {
        Part::Whole => (StatusCode::OK, 0, length),
        Part::Range(start, end) => (StatusCode::PARTIAL_CONTENT, start, end),
        Part::Nothing => {
            return (StatusCode::RANGE_NOT_SATISFIABLE, common, [(header::CONTENT_RANGE, format!("bytes */{length}"))]).into_response();
        }
    };
    if file.seek(std::io::SeekFrom::Start(start)).await.is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let body = Body::from_stream(ReaderStream::with_capacity(file.take(end - start), PIECE));
    let mut response = (status, common, [(header::CONTENT_LENGTH, (end - start).to_string())], body).into_response();
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(value) = format!("bytes {start}-{}/{length}", end - 1).parse()
    {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

/// A regular file, read from its begin on. A `model` begins as one: links in the store may lead anywhere.
async fn open(path: &Path, model: bool) -> Option<(File, Metadata)> {
    // Before it is opened: to open a pipe is to wait for who writes to it.
    if !tokio::fs::metadata(path).await.ok()?.is_file() {
        return None;
    }
    let mut file = File::open(path).await.ok()?;
    let about = file.metadata().await.ok()?;
    let mut magic = [0; 4];
    let readable = about.is_file() && (!model || (file.read_exact(&mut magic).await.is_ok() && magic == *b"GGUF"));
    readable.then_some((file, about))
}

/// Nanoseconds since 1970.
fn modified(about: &Metadata) -> u128 {
    about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default().as_nanos()
}

/// Changes when the content of a file does; on Unix also where its time was put back.
fn version(about: &Metadata) -> String {
    #[cfg(unix)]
    let more = {
        use std::os::unix::fs::MetadataExt;
        format!("-{:x}-{:x}{:08x}", about.ino(), about.ctime(), about.ctime_nsec())
    };
    #[cfg(not(unix))]
    let more = "";
    format!("{:x}-{:x}{more}", about.len(), modified(about))
}

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    /// From the first byte to behind the last.
    Range(u64, u64),
    Nothing,
}

fn part(header: &str, length: u64) -> Part {
    let Some(spec) = header.strip_prefix("bytes=") else { return Part::Whole };
    let Some((first, last)) = spec.split_once('-') else { return Part::Whole };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match (number(first), number(last)) {
        (Some(first), _) if last.trim().is_empty() && first < length => Part::Range(first, length),
        (Some(first), Some(last)) if first <= last && first < length => Part::Range(first, last.saturating_add(1).min(length)),
        (Some(first), Some(last)) if first > last => Part::Whole,
        (Some(_), Some(_)) => Part::Nothing,
        (Some(_), None) if last.trim().is_empty() => Part::Nothing,
        (None, Some(0)) if first.trim().is_empty() => Part::Nothing,
        (None, Some(last)) if first.trim().is_empty() && length > 0 => Part::Range(length.saturating_sub(last), length),
        _ => Part::Whole,
    }
}

/// The type of a file by its ending.
fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|ending| ending.to_str()).unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webmanifest" => "application/manifest+json",
        "woff2" => "font/woff2",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (header, expected) in [
            ("bytes=0-0", Part::Range(0, 1)),
            ("bytes=90-", Part::Range(90, 100)),
            ("bytes=90-1000", Part::Range(90, 100)),
            ("bytes=-10", Part::Range(90, 100)),
            ("bytes=-1000", Part::Range(0, 100)),
            ("bytes=0-18446744073709551615", Part::Range(0, 100)),
            ("bytes=100-", Part::Nothing),
            ("bytes=100-200", Part::Nothing),
            ("bytes=-0", Part::Nothing),
            ("bytes=5-4", Part::Whole),
            ("bytes=0-1,5-6", Part::Whole),
            ("bytes=x-", Part::Whole),
            ("lines=0-1", Part::Whole),
            ("bytes=-", Part::Whole),
        ] {
            assert_eq!(part(header, 100), expected, "{header}");
        }
        assert_eq!(part("bytes=0-", 0), Part::Nothing);
    }
}
