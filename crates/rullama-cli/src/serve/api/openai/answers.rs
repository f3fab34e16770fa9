//! The answers of `/v1/chat/completions` and `/v1/completions`: chunks as server-sent events, or one record for all.

use super::wire::Common;
use crate::serve::api::{Collected, Failure, Form, Format, now, unique};
use crate::serve::host::{Done, Ended, Logprobs, Piece, Reason, TokenText};
use rullama::ToolCall;
use serde::Serialize;
use serde_json::{Map, Value, json};

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
    logprobs: bool,
    /// A streamed answer ends with its token counts.
    usage: bool,
    /// Tool calls given so far.
    calls: usize,
    /// Characters of text given so far.
    offset: usize,
}

/// The reason as the API names it.
fn finish_reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Stop => "stop",
        Reason::Length => "length",
        Reason::ToolCalls => "tool_calls",
    }
}

fn usage(ended: &Ended) -> Value {
    let (prompt, answer) = (ended.summary.prompt_tokens, ended.summary.ids.len() as u64);
    let cached = prompt - ended.summary.timings.prefilled_tokens.min(prompt);
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": u64::from(prompt) + answer,
        "prompt_tokens_details": {"cached_tokens": cached},
    })
}

/// A record of a server-sent event.
pub fn event(record: &Value) -> String {
    format!("data: {record}\n\n")
}

impl Record {
    pub fn new(common: &Common, kind: Kind, logprobs: bool) -> Self {
        let id = unique(if kind == Kind::Chat { "chatcmpl-" } else { "cmpl-" });
        let (model, usage) = (common.model.clone(), common.usage_wanted());
        Record { id, created: now(), model, kind, logprobs, usage, calls: 0, offset: 0 }
    }

    /// All of an answer.
    pub fn whole(&mut self, said: Collected, ended: &Ended) -> impl Serialize {
        let logprobs = self.logprobs_of(&said.logprobs);
        let mut choice = Map::new();
        choice.insert("index".to_owned(), json!(0));
        if self.kind == Kind::Chat {
            choice.insert("message".to_owned(), message(said));
        } else {
            choice.insert("text".to_owned(), json!(said.content));
        }
        choice.insert("logprobs".to_owned(), logprobs);
        choice.insert("finish_reason".to_owned(), json!(finish_reason(ended.reason)));
        let mut record = self.record(json!([choice]), false);
        record["usage"] = usage(ended);
        record
    }

    fn record(&self, choices: Value, chunk: bool) -> Value {
        let object = match (self.kind, chunk) {
            (Kind::Chat, true) => "chat.completion.chunk",
            (Kind::Chat, false) => "chat.completion",
            (Kind::Completion, _) => "text_completion",
        };
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": concat!("rullama-", env!("CARGO_PKG_VERSION")),
            "choices": choices,
        })
    }

    /// One chunk: what is new in it, and why the answer ended.
    fn chunk(&mut self, new: Value, logprobs: Value, reason: Option<Reason>) -> String {
        let name = if self.kind == Kind::Chat { "delta" } else { "text" };
        let reason = reason.map(finish_reason);
        let mut record = self.record(json!([{"index": 0, name: new, "logprobs": logprobs, "finish_reason": reason}]), true);
        if self.usage {
            record["usage"] = Value::Null;
        }
        event(&record)
    }

    fn logprobs_of(&mut self, logprobs: &[Logprobs]) -> Value {
        match (self.logprobs && !logprobs.is_empty(), self.kind) {
            (false, _) => Value::Null,
            (true, Kind::Chat) => json!({"content": logprobs.iter().map(chat_logprob).collect::<Vec<_>>(), "refusal": null}),
            (true, Kind::Completion) => self.completion_logprobs(logprobs),
        }
    }

    /// The older form: a list for each property.
    fn completion_logprobs(&mut self, logprobs: &[Logprobs]) -> Value {
        let mut offsets = Vec::new();
        for token in logprobs {
            offsets.push(self.offset);
            self.offset += text(&token.chosen).chars().count();
        }
        let top = |token: &Logprobs| -> Map<String, Value> { token.top.iter().map(|top| (text(top), json!(top.logprob))).collect() };
        json!({
            "tokens": logprobs.iter().map(|token| text(&token.chosen)).collect::<Vec<_>>(),
            "token_logprobs": logprobs.iter().map(|token| token.chosen.logprob).collect::<Vec<_>>(),
            "top_logprobs": logprobs.iter().map(top).collect::<Vec<_>>(),
            "text_offset": offsets,
        })
    }
}

/// A message of the model. Its content is null where it only calls tools.
fn message(said: Collected) -> Value {
    let silent = said.content.is_empty() && !said.calls.is_empty();
    let mut message = json!({"role": "assistant", "content": if silent { Value::Null } else { json!(said.content) }, "refusal": null});
    if !said.thinking.is_empty() {
        message["reasoning"] = json!(said.thinking);
    }
    if !said.calls.is_empty() {
        message["tool_calls"] = said.calls.iter().map(call).collect();
    }
    message
}

/// A tool call, whose arguments are JSON text here.
fn call(call: &ToolCall) -> Value {
    let arguments = Value::Object(call.function.arguments.clone()).to_string();
    json!({"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": arguments}})
}

fn text(token: &TokenText) -> String {
    String::from_utf8_lossy(&token.bytes).into_owned()
}

pub fn chat_logprob(logprobs: &Logprobs) -> Value {
    let one = |token: &TokenText| json!({"token": text(token), "logprob": token.logprob, "bytes": token.bytes});
    let mut record = one(&logprobs.chosen);
    record["top_logprobs"] = logprobs.top.iter().map(one).collect();
    record
}

impl Format for Record {
    const CONTENT_TYPE: &'static str = "text/event-stream; charset=utf-8";

    fn begin(&mut self) -> String {
        match self.kind {
            Kind::Chat => self.chunk(json!({"role": "assistant", "content": ""}), Value::Null, None),
            Kind::Completion => String::new(),
        }
    }

    fn piece(&mut self, piece: Piece) -> String {
        let said = Collected::from(piece);
        let logprobs = self.logprobs_of(&said.logprobs);
        if self.kind == Kind::Completion {
            return self.chunk(json!(said.content), logprobs, None);
        }
        let mut delta = Map::new();
        if !said.thinking.is_empty() {
            delta.insert("reasoning".to_owned(), json!(said.thinking));
        }
        if !said.content.is_empty() {
            delta.insert("content".to_owned(), json!(said.content));
        }
        if !said.calls.is_empty() {
            let calls = said.calls.iter().enumerate().map(|(i, tool)| {
                let mut record = call(tool);
                record["index"] = json!(self.calls + i);
                record
            });
            delta.insert("tool_calls".to_owned(), calls.collect());
            self.calls += said.calls.len();
        }
        self.chunk(Value::Object(delta), logprobs, None)
    }

    fn done(&mut self, done: Done) -> String {
        let Some(ended) = done.answer else { return "data: [DONE]\n\n".to_owned() };
        let nothing = if self.kind == Kind::Chat { json!({}) } else { json!("") };
        let mut text = self.chunk(nothing, Value::Null, Some(ended.reason));
        if self.usage {
            let mut record = self.record(json!([]), true);
            record["usage"] = usage(&ended);
            text.push_str(&event(&record));
        }
        text.push_str("data: [DONE]\n\n");
        text
    }

    fn failed(&mut self, failure: &Failure) -> String {
        event(&failure.body(Form::OpenAi))
    }
}
