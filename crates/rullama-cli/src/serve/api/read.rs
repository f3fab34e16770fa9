//! From the bytes of a request to what they ask for. They may be hostile: bounded in length, time and memory, and an error names
//! the field that is at fault.

use super::Failure;
use crate::media;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use rullama::Message;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Largest body.
const LARGEST: usize = 32 << 20;
/// Most values in a body: each takes some tens of bytes, however short it is written.
const VALUES: usize = 1 << 20;
/// Longest time for a body to come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Mebibytes of bodies that may be on their way at a time.
const TOGETHER: usize = 256;

/// Bounds the bodies that are read at a time.
pub struct Bodies(Semaphore);

impl Default for Bodies {
    fn default() -> Self {
        Bodies(Semaphore::new(TOGETHER))
    }
}

/// The body of a request.
///
/// # Errors
/// One that is too large, too slow or no JSON.
pub async fn body(bodies: &Bodies, request: Request) -> Result<Value, Failure> {
    let told = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let too_large = || Failure::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {} MiB. Shorten it.", LARGEST >> 20));
    if told.is_some_and(|length| length > LARGEST) {
        return Err(too_large());
    }
    let share = told.unwrap_or(LARGEST).div_ceil(1 << 20).max(1);
    let busy = || Failure::new(StatusCode::SERVICE_UNAVAILABLE, "too many large requests at a time. Try again later.");
    let _share = bodies.0.try_acquire_many(share as u32).map_err(|_| busy())?;
    let slow = || Failure::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time. Send it again.");
    let bytes = tokio::time::timeout(PATIENCE, to_bytes(request.into_body(), LARGEST)).await.map_err(|_| slow())?;
    let bytes = bytes.map_err(|_| too_large())?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Failure::new(StatusCode::BAD_REQUEST, "the request has no body. Send a JSON object."));
    }
    if values(&bytes) > VALUES {
        let message = format!("the body has more than {VALUES} values. Shorten it.");
        return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message));
    }
    serde_json::from_slice(&bytes).map_err(|error| not_json(&error))
}

/// A part of a request as `T`, which stands at `place`; "" is the request itself.
///
/// # Errors
/// A field of another type.
pub fn value<T: DeserializeOwned>(value: &Value, place: &str) -> Result<T, Failure> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let below = error.path().to_string();
        let name = match (place, below.as_str()) {
            ("", ".") => {
                let message = format!("the request cannot be read: {}.", without_place(error.inner()));
                return Failure::new(StatusCode::BAD_REQUEST, message);
            }
            ("", below) => below.to_owned(),
            (place, ".") => place.to_owned(),
            (place, below) if below.starts_with('[') => format!("{place}{below}"),
            (place, below) => format!("{place}.{below}"),
        };
        let message = format!("cannot be read: {}.", without_place(error.inner()));
        Failure::field(name, message)
    })
}

/// An upper bound of the values in JSON: each follows a sign that stands outside of texts.
fn values(json: &[u8]) -> usize {
    let (mut count, mut in_text, mut escaped) = (1, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b',' | b'[' | b'{' if !in_text => count += 1,
            _ => {}
        }
    }
    count
}

fn not_json(error: &serde_json::Error) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}."))
}

/// The message without line and column, which nobody counts in a request.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).trim_end_matches('.').to_owned()
}

/// A message, whose pictures and sounds are looked at as far as their beginnings tell.
///
/// # Errors
/// The member that cannot be read, below `place`.
pub fn message(json: &Value, place: &str) -> Result<Message, Failure> {
    let message: Message = value(json, place)?;
    let field = if json.get("images").is_some_and(|images| !images.is_null()) { "images" } else { "content" };
    let field = if place.is_empty() { field.to_owned() } else { format!("{place}.{field}") };
    for part in message.media() {
        media::check(part).map_err(|error| Failure::field(&field, format!("cannot be used: {error}.")))?;
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    struct Asked {
        #[allow(dead_code)] // read by the tests alone
        model: String,
        #[allow(dead_code)]
        list: Option<Vec<u32>>,
    }

    async fn read(text: impl Into<Body>) -> Result<Asked, Failure> {
        value(&body(&Bodies::default(), Request::new(text.into())).await?, "")
    }

    #[tokio::test]
    async fn errors_name_the_field() {
        for (text, field, part) in [
            (r#"{"model": 3}"#, Some("model"), "invalid type: integer `3`, expected a string."),
            (r#"{"model": "m", "list": [1, "x"]}"#, Some("list[1]"), "`list[1]`"),
            (r#"{"list": []}"#, None, "missing field `model`"),
            (r#"{"model": "#, None, "not JSON"),
            (r#"{"model": "m"} x"#, None, "not JSON"),
            ("[]", None, "cannot be read"),
            (" ", None, "no body"),
        ] {
            let failure = read(text).await.unwrap_err();
            assert_eq!((failure.status, failure.field.as_deref()), (StatusCode::BAD_REQUEST, field), "{text}: {}", failure.message);
            assert!(failure.message.contains(part), "{text}: {}", failure.message);
        }
        assert!(read(r#"{"model": "m", "list": null, "other": {}}"#).await.is_ok());
        let deep = "[".repeat(100_000);
        assert!(read(deep).await.unwrap_err().message.contains("recursion"));
        let failure = value::<Asked>(&json!({"model": "m", "list": {}}), "messages[2]").unwrap_err();
        assert_eq!(failure.field.as_deref(), Some("messages[2].list"));
    }

    #[tokio::test]
    async fn bodies_are_bounded() {
        let failure = read(vec![b' '; LARGEST + 1]).await.unwrap_err();
        assert_eq!(failure.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(values(br#"{"a": [1, "b,[{\", "], "c": {}}"#), 6);
        let failure = read(format!("[{}0]", "0,".repeat(VALUES))).await.unwrap_err();
        assert_eq!(failure.status, StatusCode::PAYLOAD_TOO_LARGE);
        let bodies = Bodies::default();
        let _taken = bodies.0.try_acquire_many(TOGETHER as u32).unwrap();
        let failure = body(&bodies, Request::new("{}".into())).await.unwrap_err();
        assert_eq!(failure.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
