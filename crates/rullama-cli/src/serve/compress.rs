//! Which answers are compressed.

use axum::http::{HeaderMap, Response, header};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate, SizeAbove};

/// Bytes below which a body is sent as it is.
const SMALL: u16 = 1024;

/// Gzip for those who accept it: text, scripts and the engine. A part of a file stays as it is, since its range counts the
/// file's own bytes.
pub fn layer() -> CompressionLayer<impl Predicate> {
    // On one machine the time counts more than the last percent.
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(SizeAbove::new(SMALL).and(Shrinks))
}

/// Types that shrink. Models are packed already.
#[derive(Clone, Copy)]
struct Shrinks;

impl Predicate for Shrinks {
    fn should_compress<B: axum::body::HttpBody>(&self, response: &Response<B>) -> bool {
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default();
        kind.starts_with("text/") || ["application/json", "application/wasm", "application/manifest+json", "image/svg+xml"].contains(&kind)
    }
}

/// Compressed and plain bytes are not the same: a tag that both have can only be weak.
///
/// Source: RFC 9110, section 8.8.1.
pub fn weaken(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CONTENT_ENCODING) {
        return;
    }
    let weak =
        headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).filter(|tag| !tag.starts_with("W/")).map(|tag| format!("W/{tag}"));
    if let Some(weak) = weak.and_then(|tag| tag.parse().ok()) {
        headers.insert(header::ETAG, weak);
    }
}
