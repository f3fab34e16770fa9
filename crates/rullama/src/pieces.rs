//! What a request gets of an answer, token by token.

use crate::{Cancel, Engine, Finish, Token};
use rullama_text::Event;

/// What one token gives.
#[derive(Debug, Clone, Default)]
pub struct Piece {
    pub events: Vec<Event>,
    pub logprobs: Option<Logprobs>,
}

impl Piece {
    /// Whether the token belongs to a thought.
    pub fn is_thought(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Thinking(_)))
    }
}

/// A token with its log-probability, and the likeliest in its place.
#[derive(Debug, Clone)]
pub struct Logprobs {
    pub chosen: TokenText,
    pub top: Vec<TokenText>,
}

#[derive(Debug, Clone)]
pub struct TokenText {
    pub bytes: Vec<u8>,
    pub logprob: f32,
}

impl TokenText {
    /// The bytes as text, as far as they are some.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// Why an answer to a request ended, as the APIs tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Stop,
    Length,
    ToolCalls,
}

/// From the tokens of an answer to its pieces.
pub struct Pieces<'a> {
    engine: &'a Engine,
    cancel: &'a Cancel,
    /// The answer ends behind its first tool call.
    one_call: bool,
    calls: usize,
    /// It was ended so.
    cut: bool,
}

impl<'a> Pieces<'a> {
    /// Of an answer that `cancel` ends.
    pub fn new(engine: &'a Engine, cancel: &'a Cancel, one_call: bool) -> Self {
        Pieces { engine, cancel, one_call, calls: 0, cut: false }
    }

    /// What a token and the events that it completes give; `None` where that is nothing.
    pub fn piece(&mut self, token: Option<&Token>, mut events: Vec<Event>) -> Option<Piece> {
        if self.cut {
            return None;
        }
        let is_call = |event: &Event| matches!(event, Event::ToolCall(_));
        if let (Some(first), true) = (events.iter().position(is_call), self.one_call) {
            events.truncate(first + 1);
            self.cut = true;
            self.cancel.cancel();
        }
        self.calls += events.iter().filter(|event| is_call(event)).count();
        events.retain(|event| !matches!(event, Event::Content(text) if text.is_empty()));
        let logprobs = token.and_then(|token| self.logprobs(token));
        (!events.is_empty() || logprobs.is_some()).then_some(Piece { events, logprobs })
    }

    /// Of every token but the one that ends the answer, where they were asked for.
    fn logprobs(&self, token: &Token) -> Option<Logprobs> {
        let logprob = token.logprob?;
        let tokenizer = self.engine.tokenizer();
        if tokenizer.end_tokens().contains(&token.id) {
            return None;
        }
        let of = |id: u32, logprob: f32| TokenText { bytes: tokenizer.bytes_of(id), logprob };
        Some(Logprobs { chosen: of(token.id, logprob), top: token.top.iter().map(|(id, logprob)| of(*id, *logprob)).collect() })
    }

    /// Why the answer ended, which finished so; `None` where somebody else than the request ended it.
    pub fn reason(&self, finish: Finish) -> Option<Reason> {
        match finish {
            Finish::Length => Some(Reason::Length),
            Finish::Cancelled if !self.cut => None,
            _ if self.calls > 0 => Some(Reason::ToolCalls),
            _ => Some(Reason::Stop),
        }
    }
}
