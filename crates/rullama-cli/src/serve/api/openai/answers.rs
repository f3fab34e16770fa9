//! The answers of `/v1/chat/completions` and `/v1/completions`: chunks as server-sent events, or one record for all.

use super::records::{Call, Choice, Completion, Delta, Logprob, LogprobLists, Message, Said, Usage, finish_reason};
use super::wire::Common;
use crate::serve::api::{Collected, Failure, Form, Format, now, unique};
use crate::serve::host::{Done, Ended, Logprobs, Piece, Reason};
use serde::Serialize;

const DONE: &str = "data: [DONE]\n\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Chat,
    Completion,
}

/// What the answers to a request have in common.
pub struct Record {
    id: String,
    created: u64,
    model: String,
    kind: Kind,
    /// A streamed answer ends with its token counts.
    usage: bool,
    /// Tool calls given so far.
    calls: usize,
    /// Characters of text given so far.
    offset: usize,
    thinking_tokens: usize,
}

/// A record as a server-sent event.
fn event(record: &impl Serialize) -> String {
    // Records of numbers and texts always have a JSON form.
    format!("data: {}\n\n", serde_json::to_string(record).unwrap_or_default())
}

impl Record {
    pub fn new(common: &Common, kind: Kind) -> Self {
        let id = unique(if kind == Kind::Chat { "chatcmpl-" } else { "cmpl-" });
        let (model, usage) = (common.model.clone(), common.usage_wanted());
        Record { id, created: now(), model, kind, usage, calls: 0, offset: 0, thinking_tokens: 0 }
    }

    /// All of an answer.
    pub fn whole(&mut self, said: Collected, ended: &Ended) -> Completion<'_> {
        let logprobs = self.logprobs(&said.logprobs);
        let usage = Usage::new(ended, said.thinking_tokens);
        let said = match self.kind {
            Kind::Chat => Said::Message(message(said)),
            Kind::Completion => Said::Text(said.content),
        };
        let choice = Choice { index: 0, said, logprobs, finish_reason: Some(finish_reason(ended.reason)) };
        Completion { usage: Some(Some(usage)), ..self.record(vec![choice], false) }
    }

    fn record(&self, choices: Vec<Choice>, chunk: bool) -> Completion<'_> {
        let object = match (self.kind, chunk) {
            (Kind::Chat, true) => "chat.completion.chunk",
            (Kind::Chat, false) => "chat.completion",
            (Kind::Completion, _) => "text_completion",
        };
        let system_fingerprint = concat!("rullama-", env!("CARGO_PKG_VERSION"));
        Completion { id: &self.id, object, created: self.created, model: &self.model, system_fingerprint, choices, usage: None }
    }

    /// One chunk: what is new in it, and why the answer ended.
    fn chunk(&self, said: Said, logprobs: Option<LogprobLists>, reason: Option<Reason>) -> String {
        let choice = Choice { index: 0, said, logprobs, finish_reason: reason.map(finish_reason) };
        event(&Completion { usage: self.usage.then_some(None), ..self.record(vec![choice], true) })
    }

    fn logprobs(&mut self, logprobs: &[Logprobs]) -> Option<LogprobLists> {
        match self.kind {
            _ if logprobs.is_empty() => None,
            Kind::Chat => Some(LogprobLists::Chat { content: logprobs.iter().map(Logprob::from).collect(), refusal: None }),
            Kind::Completion => Some(self.lists(logprobs)),
        }
    }

    fn lists(&mut self, logprobs: &[Logprobs]) -> LogprobLists {
        let tokens: Vec<String> = logprobs.iter().map(|token| token.chosen.text()).collect();
        let mut text_offset = Vec::new();
        for token in &tokens {
            text_offset.push(self.offset);
            self.offset += token.chars().count();
        }
        LogprobLists::Completion {
            tokens,
            token_logprobs: logprobs.iter().map(|token| token.chosen.logprob).collect(),
            top_logprobs: logprobs.iter().map(|token| token.top.iter().map(|top| (top.text(), top.logprob)).collect()).collect(),
            text_offset,
        }
    }
}

fn message(said: Collected) -> Message {
    let silent = said.content.is_empty() && !said.calls.is_empty();
    let tool_calls = said.calls.into_iter().map(|call| Call::new(call, None)).collect();
    Message { role: "assistant", content: (!silent).then_some(said.content), refusal: None, reasoning: said.thinking, tool_calls }
}

impl Format for Record {
    const CONTENT_TYPE: &'static str = "text/event-stream; charset=utf-8";

    fn begin(&mut self) -> String {
        let first = Delta { role: Some("assistant"), content: Some(String::new()), ..Delta::default() };
        match self.kind {
            Kind::Chat => self.chunk(Said::Delta(first), None, None),
            Kind::Completion => String::new(),
        }
    }

    fn piece(&mut self, piece: Piece) -> String {
        let said = Collected::from(piece);
        self.thinking_tokens += said.thinking_tokens;
        let logprobs = self.logprobs(&said.logprobs);
        if self.kind == Kind::Completion {
            return self.chunk(Said::Text(said.content), logprobs, None);
        }
        let first = self.calls;
        self.calls += said.calls.len();
        let tool_calls = said.calls.into_iter().enumerate().map(|(i, call)| Call::new(call, Some(first + i))).collect();
        let content = Some(said.content).filter(|text| !text.is_empty());
        self.chunk(Said::Delta(Delta { role: None, content, reasoning: said.thinking, tool_calls }), logprobs, None)
    }

    fn done(&mut self, done: Done) -> String {
        let Some(ended) = done.answer else { return DONE.to_owned() };
        let nothing = if self.kind == Kind::Chat { Said::Delta(Delta::default()) } else { Said::Text(String::new()) };
        let mut text = self.chunk(nothing, None, Some(ended.reason));
        if self.usage {
            let usage = Usage::new(&ended, self.thinking_tokens);
            text.push_str(&event(&Completion { usage: Some(Some(usage)), ..self.record(Vec::new(), true) }));
        }
        text + DONE
    }

    fn failed(&mut self, failure: &Failure) -> String {
        event(&failure.body(Form::OpenAi))
    }
}
