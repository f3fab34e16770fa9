//! The answers of `/v1/responses`: events, or the response as a whole.

use super::items::{Error, Event, Incomplete, Item, Kind, Of, Response, Shown, Usage, call};
use super::records::Logprob;
use crate::serve::api::{Collected, Failure, Format, OfContent, call_id, now, unique};
use crate::serve::host::{Done, Ended, Piece, Reason};
use rullama::ToolCall;
use rullama::text;
use serde_json::Value;

/// A response as far as it has come.
pub struct Record {
    id: String,
    created: u64,
    model: String,
    /// What the request said, as a response shows it.
    shown: Shown,
    /// Items that are complete.
    output: Vec<Item>,
    open: Option<Open>,
    of_content: OfContent,
    events: u64,
    thinking_tokens: usize,
}

/// An item that is being written.
struct Open {
    id: String,
    kind: Kind,
    text: String,
    logprobs: Vec<Logprob>,
}

fn status(ended: &Ended) -> &'static str {
    if ended.reason == Reason::Length { "incomplete" } else { "completed" }
}

impl Record {
    pub fn new(model: &str, shown: Shown) -> Self {
        let (output, open, of_content) = Default::default();
        let (id, model) = (unique("resp_"), model.to_owned());
        Record { id, created: now(), model, shown, output, open, of_content, events: 0, thinking_tokens: 0 }
    }

    /// The response as it stands.
    fn response(&self, status: &'static str, usage: Option<Usage>) -> Response<'_> {
        Response {
            id: &self.id,
            object: "response",
            created_at: self.created,
            status,
            error: None,
            incomplete_details: (status == "incomplete").then_some(Incomplete { reason: "max_output_tokens" }),
            model: &self.model,
            output: &self.output,
            usage,
            shown: &self.shown,
        }
    }

    /// All of a response.
    pub fn whole(&mut self, said: Collected, ended: &Ended) -> Response<'_> {
        let status = status(ended);
        let logprobs = said.of_content.iter().map(Logprob::from).collect();
        for (kind, text, logprobs) in [(Kind::Reasoning, &said.thinking, Vec::new()), (Kind::Message, &said.content, logprobs)] {
            if !text.is_empty() {
                self.output.push(kind.item(&unique(kind.prefix()), status, vec![kind.part(text, logprobs)]));
            }
        }
        let calls = said.calls.iter().map(|tool| call(&unique("fc_"), "completed", tool, &arguments(tool)));
        self.output.extend(calls);
        self.response(status, Some(Usage::new(ended, said.thinking_tokens)))
    }

    /// The number of the next event.
    fn number(&mut self) -> u64 {
        self.events += 1;
        self.events - 1
    }

    fn of_response(&mut self, name: &str, status: &'static str, usage: Option<Usage>, error: Option<Error>) -> String {
        let sequence_number = self.number();
        let response = Response { error, ..self.response(status, usage) };
        Event { name, sequence_number, of: Of::Response { response } }.sent()
    }

    fn of_item(&mut self, name: &str, item: &Item) -> String {
        Event { name, sequence_number: self.number(), of: Of::Item { output_index: self.output.len(), item } }.sent()
    }

    /// More text of an item of this kind.
    fn text(&mut self, kind: Kind, text: &str, logprobs: &[Logprob]) -> String {
        let mut out = String::new();
        if self.open.as_ref().is_none_or(|open| open.kind != kind) {
            out.push_str(&self.close("completed"));
            let id = unique(kind.prefix());
            out.push_str(&self.of_item("response.output_item.added", &kind.item(&id, "in_progress", Vec::new())));
            let of = Of::Part { item_id: &id, output_index: self.output.len(), content_index: 0, part: &kind.part("", Vec::new()) };
            out.push_str(&Event { name: "response.content_part.added", sequence_number: self.number(), of }.sent());
            self.open = Some(Open { id, kind, text: String::new(), logprobs: Vec::new() });
        }
        let (sequence_number, output_index) = (self.number(), self.output.len());
        let Some(open) = &mut self.open else { return out };
        open.text.push_str(text);
        open.logprobs.extend_from_slice(logprobs);
        let logprobs = kind.has(logprobs);
        let of = Of::Delta { item_id: &open.id, output_index, content_index: 0, delta: text, logprobs };
        out.push_str(&Event { name: kind.delta(), sequence_number, of }.sent());
        out
    }

    /// Ends the item that is being written.
    fn close(&mut self, status: &'static str) -> String {
        let Some(Open { id, kind, text, logprobs }) = self.open.take() else { return String::new() };
        let (output_index, part) = (self.output.len(), kind.part(&text, logprobs.clone()));
        let of = Of::Text { item_id: &id, output_index, content_index: 0, text: &text, logprobs: kind.has(&logprobs) };
        let mut out = Event { name: kind.done(), sequence_number: self.number(), of }.sent();
        let of = Of::Part { item_id: &id, output_index, content_index: 0, part: &part };
        out.push_str(&Event { name: "response.content_part.done", sequence_number: self.number(), of }.sent());
        let item = kind.item(&id, status, vec![part]);
        out.push_str(&self.of_item("response.output_item.done", &item));
        self.output.push(item);
        out
    }

    fn call(&mut self, tool: ToolCall) -> String {
        let mut out = self.close("completed");
        let (id, output_index, arguments) = (unique("fc_"), self.output.len(), arguments(&tool));
        let tool = ToolCall { id: Some(call_id()), ..tool };
        out.push_str(&self.of_item("response.output_item.added", &call(&id, "in_progress", &tool, "")));
        let of = Of::ArgumentsDelta { item_id: &id, output_index, delta: &arguments };
        out.push_str(&Event { name: "response.function_call_arguments.delta", sequence_number: self.number(), of }.sent());
        let of = Of::Arguments { item_id: &id, output_index, name: &tool.function.name, arguments: &arguments };
        out.push_str(&Event { name: "response.function_call_arguments.done", sequence_number: self.number(), of }.sent());
        let item = call(&id, "completed", &tool, &arguments);
        out.push_str(&self.of_item("response.output_item.done", &item));
        self.output.push(item);
        out
    }
}

fn arguments(call: &ToolCall) -> String {
    Value::Object(call.function.arguments.clone()).to_string()
}

impl Kind {
    /// What the events of its text are called.
    fn delta(self) -> &'static str {
        if self == Kind::Message { "response.output_text.delta" } else { "response.reasoning_text.delta" }
    }

    fn done(self) -> &'static str {
        if self == Kind::Message { "response.output_text.done" } else { "response.reasoning_text.done" }
    }

    /// The field that only messages have.
    fn has(self, logprobs: &[Logprob]) -> Option<&[Logprob]> {
        (self == Kind::Message).then_some(logprobs)
    }
}

impl Format for Record {
    const CONTENT_TYPE: &'static str = "text/event-stream; charset=utf-8";

    fn begin(&mut self) -> String {
        let created = self.of_response("response.created", "in_progress", None, None);
        created + &self.of_response("response.in_progress", "in_progress", None, None)
    }

    fn piece(&mut self, piece: Piece) -> String {
        self.thinking_tokens += usize::from(piece.is_thought());
        let logprobs: Vec<Logprob> = self.of_content.push(&piece).iter().map(Logprob::from).collect();
        // They go with the last of the texts that a token makes certain.
        let last = piece.events.len().saturating_sub(1);
        let mut out = String::new();
        for (i, event) in piece.events.into_iter().enumerate() {
            let logprobs = if i == last { &logprobs[..] } else { &[] };
            out.push_str(&match event {
                // What cannot be read as a call is left to the reader.
                text::Event::Content(text) | text::Event::UnreadableCall(text) => self.text(Kind::Message, &text, logprobs),
                text::Event::Thinking(text) => self.text(Kind::Reasoning, &text, &[]),
                text::Event::ToolCall(call) => self.call(call),
            });
        }
        out
    }

    fn done(&mut self, done: Done) -> String {
        let Some(ended) = done.answer else { return String::new() };
        let (status, usage) = (status(&ended), Usage::new(&ended, self.thinking_tokens));
        let closed = self.close(status);
        closed + &self.of_response(&format!("response.{status}"), status, Some(usage), None)
    }

    fn failed(&mut self, failure: &Failure) -> String {
        let closed = self.close("incomplete");
        let error = Error { code: "server_error", message: failure.message.clone() };
        closed + &self.of_response("response.failed", "failed", None, Some(error))
    }
}
