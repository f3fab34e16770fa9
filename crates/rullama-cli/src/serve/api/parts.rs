//! From the parts of an answer to an HTTP answer.

use super::{Failure, call_id};
use crate::serve::host::{Answer, Done, Ended, Logprobs, Part, Piece};
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use rullama::ToolCall;
use rullama::text::Event;
use serde::Serialize;
use std::convert::Infallible;

/// Waits until an answer begins.
///
/// # Errors
/// Why it does not.
pub async fn begin(answer: &mut Answer) -> Result<(), Failure> {
    match answer.next().await {
        Part::Failed(failure) => Err(failure),
        _ => Ok(()),
    }
}

/// What pieces of an answer add up to.
#[derive(Debug, Default)]
pub struct Collected {
    pub content: String,
    pub thinking: String,
    pub calls: Vec<ToolCall>,
    pub logprobs: Vec<Logprobs>,
    /// Those of the content alone.
    pub of_content: Vec<Logprobs>,
    /// Tokens that wait for what they become.
    waiting: OfContent,
    /// Tokens that were thought.
    pub thinking_tokens: usize,
}

impl From<Piece> for Collected {
    fn from(piece: Piece) -> Self {
        let mut collected = Collected::default();
        collected.add(piece);
        collected
    }
}

impl Collected {
    pub fn add(&mut self, piece: Piece) {
        self.thinking_tokens += usize::from(piece.is_thought());
        self.of_content.extend(self.waiting.push(&piece));
        for event in piece.events {
            match event {
                // What cannot be read as a call is left to the reader.
                Event::Content(text) | Event::UnreadableCall(text) => self.content.push_str(&text),
                Event::Thinking(text) => self.thinking.push_str(&text),
                Event::ToolCall(call) => self.calls.push(ToolCall { id: Some(call_id()), ..call }),
            }
        }
        self.logprobs.extend(piece.logprobs);
    }
}

/// Tells which tokens are an answer's content: what a token gives may show with a later one.
#[derive(Debug, Default)]
pub struct OfContent(Vec<Logprobs>);

impl OfContent {
    /// The tokens that have become content with this piece.
    pub fn push(&mut self, piece: &Piece) -> Vec<Logprobs> {
        self.0.extend(piece.logprobs.clone());
        match piece.events.last() {
            Some(Event::Content(_) | Event::UnreadableCall(_)) => std::mem::take(&mut self.0),
            Some(_) => {
                self.0.clear();
                Vec::new()
            }
            None => Vec::new(),
        }
    }
}

/// A whole answer that has begun.
///
/// # Errors
/// What ended it early.
pub async fn collect(mut answer: Answer) -> Result<(Collected, Ended, Done), Failure> {
    let mut collected = Collected::default();
    loop {
        match answer.next().await {
            Part::Begun | Part::Embedded(_) => {}
            Part::Piece(piece) => collected.add(piece),
            Part::Failed(failure) => return Err(failure),
            Part::Done(done) => {
                let Done { answer, waited, load } = *done;
                let Some(ended) = answer else { continue };
                return Ok((collected, ended, Done { answer: None, waited, load }));
            }
        }
    }
}

/// How an API writes the parts of a streamed answer.
pub trait Format: Send + 'static {
    /// The type of the stream.
    const CONTENT_TYPE: &'static str;

    /// What is sent before anything is known of the answer.
    fn begin(&mut self) -> String {
        String::new()
    }
    fn piece(&mut self, piece: Piece) -> String;
    fn done(&mut self, done: Done) -> String;
    fn failed(&mut self, failure: &Failure) -> String;
}

/// An answer that has begun, as it comes.
pub fn streamed<F: Format>(answer: Answer, mut format: F) -> Response {
    let begin = format.begin();
    let state = Some((answer, format, begin));
    let chunks = stream::unfold(state, |state| async move {
        let (mut answer, mut format, begin) = state?;
        if !begin.is_empty() {
            return Some((begin, Some((answer, format, String::new()))));
        }
        loop {
            let (text, ended) = match answer.next().await {
                Part::Begun | Part::Embedded(_) => continue,
                Part::Piece(piece) => (format.piece(piece), false),
                Part::Done(done) => (format.done(*done), true),
                Part::Failed(failure) => (format.failed(&failure), true),
            };
            // An empty chunk would end the body.
            if !text.is_empty() || ended {
                return Some((text, (!ended).then_some((answer, format, String::new()))));
            }
        }
    });
    let body = Body::from_stream(futures_util::StreamExt::map(chunks, |text| Ok::<_, Infallible>(Bytes::from(text))));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(F::CONTENT_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A record as a whole answer.
pub fn in_json(record: &impl Serialize) -> Response {
    // Records of numbers and texts always have a JSON form.
    let text = serde_json::to_string(record).unwrap_or_default();
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}
