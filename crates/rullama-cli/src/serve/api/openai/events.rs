//! The answers of `/v1/responses`: events, or the response as a whole.

use crate::serve::api::{Collected, Failure, Form, Format, call_id, now, unique};
use crate::serve::host::{Done, Ended, Piece, Reason};
use rullama::ToolCall;
use rullama::text::Event;
use serde_json::{Map, Value, json};

/// A response as far as it has come.
pub struct Record {
    id: String,
    created: u64,
    model: String,
    /// What the request said, as a response shows it.
    shown: Value,
    /// Items that are complete.
    output: Vec<Value>,
    open: Option<Open>,
    events: u64,
    thinking_tokens: usize,
}

/// An item that is being written.
struct Open {
    id: String,
    kind: Kind,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Message,
    Reasoning,
}

impl Kind {
    /// The part that holds the item's text.
    fn part(self, text: &str) -> Value {
        match self {
            Kind::Message => json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []}),
            Kind::Reasoning => json!({"type": "reasoning_text", "text": text}),
        }
    }

    /// What the events of its text are called.
    fn event(self, what: &str) -> String {
        format!("response.{}.{what}", if self == Kind::Message { "output_text" } else { "reasoning_text" })
    }

    fn item(self, id: &str, status: &str, content: Vec<Value>) -> Value {
        match self {
            Kind::Message => json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": content}),
            Kind::Reasoning => json!({"id": id, "type": "reasoning", "status": status, "summary": [], "content": content}),
        }
    }
}

impl Record {
    pub fn new(model: &str, shown: Value) -> Self {
        let (output, open) = Default::default();
        Record { id: unique("resp_"), created: now(), model: model.to_owned(), shown, output, open, events: 0, thinking_tokens: 0 }
    }

    /// The response as it stands.
    fn response(&self, status: &str, error: Value, ended: Option<&Ended>) -> Value {
        let mut response = json!({
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "error": error,
            "incomplete_details": (status == "incomplete").then(|| json!({"reason": "max_output_tokens"})),
            "model": self.model,
            "output": self.output,
            "usage": ended.map(|ended| self.usage(ended)),
        });
        if let (Some(response), Some(shown)) = (response.as_object_mut(), self.shown.as_object()) {
            response.extend(shown.clone());
        }
        response
    }

    fn usage(&self, ended: &Ended) -> Value {
        let (prompt, answer) = (ended.summary.prompt_tokens, ended.summary.ids.len() as u64);
        let cached = prompt - ended.summary.timings.prefilled_tokens.min(prompt);
        json!({
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": cached},
            "output_tokens": answer,
            "output_tokens_details": {"reasoning_tokens": self.thinking_tokens},
            "total_tokens": u64::from(prompt) + answer,
        })
    }

    /// All of a response.
    pub fn whole(&mut self, said: Collected, ended: &Ended) -> Value {
        self.thinking_tokens = said.thinking_tokens;
        let status = status(ended);
        for (kind, prefix, text) in [(Kind::Reasoning, "rs_", &said.thinking), (Kind::Message, "msg_", &said.content)] {
            if !text.is_empty() {
                self.output.push(kind.item(&unique(prefix), status, vec![kind.part(text)]));
            }
        }
        self.output.extend(said.calls.iter().map(|call| item(&unique("fc_"), "completed", call, true)));
        self.response(status, Value::Null, Some(ended))
    }

    /// One event; `fields` stand beside its name and number.
    fn event(&mut self, name: &str, fields: Value) -> String {
        let mut record = Map::new();
        record.insert("type".to_owned(), json!(name));
        record.insert("sequence_number".to_owned(), json!(self.events));
        if let Value::Object(fields) = fields {
            record.extend(fields);
        }
        self.events += 1;
        format!("event: {name}\ndata: {}\n\n", Value::Object(record))
    }

    /// More text of an item of this kind.
    fn text(&mut self, kind: Kind, text: &str) -> String {
        let mut out = String::new();
        if self.open.as_ref().is_none_or(|open| open.kind != kind) {
            out.push_str(&self.close("completed"));
            let id = unique(if kind == Kind::Message { "msg_" } else { "rs_" });
            let index = self.output.len();
            let item = kind.item(&id, "in_progress", Vec::new());
            out.push_str(&self.event("response.output_item.added", json!({"output_index": index, "item": item})));
            let part = json!({"item_id": id, "output_index": index, "content_index": 0, "part": kind.part("")});
            out.push_str(&self.event("response.content_part.added", part));
            self.open = Some(Open { id, kind, text: String::new() });
        }
        let Some(open) = &mut self.open else { return out };
        open.text.push_str(text);
        let mut delta = json!({"item_id": open.id, "output_index": self.output.len(), "content_index": 0, "delta": text});
        if kind == Kind::Message {
            delta["logprobs"] = json!([]);
        }
        out.push_str(&self.event(&kind.event("delta"), delta));
        out
    }

    /// Ends the item that is being written.
    fn close(&mut self, status: &str) -> String {
        let Some(Open { id, kind, text }) = self.open.take() else { return String::new() };
        let (index, part) = (self.output.len(), kind.part(&text));
        let mut done = json!({"item_id": id, "output_index": index, "content_index": 0, "text": text});
        if kind == Kind::Message {
            done["logprobs"] = json!([]);
        }
        let mut out = self.event(&kind.event("done"), done);
        let of_part = json!({"item_id": id, "output_index": index, "content_index": 0, "part": part});
        out.push_str(&self.event("response.content_part.done", of_part));
        let item = kind.item(&id, status, vec![part]);
        out.push_str(&self.event("response.output_item.done", json!({"output_index": index, "item": item})));
        self.output.push(item);
        out
    }

    fn call(&mut self, call: ToolCall) -> String {
        let mut out = self.close("completed");
        let (id, index) = (unique("fc_"), self.output.len());
        let call = ToolCall { id: Some(call_id()), ..call };
        let begun = item(&id, "in_progress", &call, false);
        out.push_str(&self.event("response.output_item.added", json!({"output_index": index, "item": begun})));
        let done = item(&id, "completed", &call, true);
        let arguments = &done["arguments"];
        let delta = json!({"item_id": id, "output_index": index, "delta": arguments});
        out.push_str(&self.event("response.function_call_arguments.delta", delta));
        let whole = json!({"item_id": id, "output_index": index, "name": call.function.name, "arguments": arguments});
        out.push_str(&self.event("response.function_call_arguments.done", whole));
        out.push_str(&self.event("response.output_item.done", json!({"output_index": index, "item": done})));
        self.output.push(done);
        out
    }
}

/// A function call, whose arguments are JSON text; none of them while it begins.
fn item(id: &str, status: &str, call: &ToolCall, whole: bool) -> Value {
    let arguments = if whole { Value::Object(call.function.arguments.clone()).to_string() } else { String::new() };
    json!({"id": id, "type": "function_call", "status": status, "call_id": call.id, "name": call.function.name, "arguments": arguments})
}

fn status(ended: &Ended) -> &'static str {
    if ended.reason == Reason::Length { "incomplete" } else { "completed" }
}

impl Format for Record {
    const CONTENT_TYPE: &'static str = "text/event-stream; charset=utf-8";

    fn begin(&mut self) -> String {
        let response = self.response("in_progress", Value::Null, None);
        let created = self.event("response.created", json!({"response": response}));
        created + &self.event("response.in_progress", json!({"response": response}))
    }

    fn piece(&mut self, piece: Piece) -> String {
        self.thinking_tokens += usize::from(piece.is_thought());
        let mut out = String::new();
        for event in piece.events {
            out.push_str(&match event {
                // What cannot be read as a call is left to the reader.
                Event::Content(text) | Event::UnreadableCall(text) => self.text(Kind::Message, &text),
                Event::Thinking(text) => self.text(Kind::Reasoning, &text),
                Event::ToolCall(call) => self.call(call),
            });
        }
        out
    }

    fn done(&mut self, done: Done) -> String {
        let Some(ended) = done.answer else { return String::new() };
        let status = status(&ended);
        let mut out = self.close(status);
        let response = self.response(status, Value::Null, Some(&ended));
        out.push_str(&self.event(&format!("response.{status}"), json!({"response": response})));
        out
    }

    fn failed(&mut self, failure: &Failure) -> String {
        let mut out = self.close("incomplete");
        let message = &failure.body(Form::OpenAi)["error"]["message"];
        let response = self.response("failed", json!({"code": "server_error", "message": message}), None);
        out.push_str(&self.event("response.failed", json!({"response": response})));
        out
    }
}
