//! The answers of `/v1/responses` as they are sent: the response, its items, and the events of a stream.
//!
//! Source: platform.openai.com/docs/api-reference/responses.

use super::records::{Cached, Logprob, Thought};
use crate::serve::host::Ended;
use rullama::ToolCall;
use serde::Serialize;
use serde_json::Value;

/// A response as far as it has come.
#[derive(Serialize)]
pub struct Response<'a> {
    pub id: &'a str,
    pub object: &'static str,
    /// Seconds since 1970.
    pub created_at: u64,
    pub status: &'static str,
    pub error: Option<Error>,
    pub incomplete_details: Option<Incomplete>,
    pub model: &'a str,
    pub output: &'a [Item],
    pub usage: Option<Usage>,
    #[serde(flatten)]
    pub shown: &'a Shown,
}

#[derive(Serialize)]
pub struct Error {
    pub code: &'static str,
    pub message: String,
}

#[derive(Serialize)]
pub struct Incomplete {
    pub reason: &'static str,
}

/// What the request said.
#[derive(Serialize)]
pub struct Shown {
    pub instructions: Option<String>,
    pub max_output_tokens: Option<i64>,
    pub parallel_tool_calls: bool,
    pub previous_response_id: Option<String>,
    pub reasoning: Reasoning,
    pub store: bool,
    pub temperature: Option<f32>,
    pub text: Text,
    pub tool_choice: Value,
    pub tools: Vec<Value>,
    pub top_p: Option<f32>,
    pub truncation: String,
    pub metadata: Value,
}

#[derive(Serialize)]
pub struct Reasoning {
    pub effort: Option<Value>,
    pub summary: Option<String>,
}

#[derive(Serialize)]
pub struct Text {
    /// As it was asked for.
    pub format: Value,
}

/// Tokens of a request and its answer.
#[derive(Serialize)]
pub struct Usage {
    input_tokens: u32,
    input_tokens_details: Input,
    output_tokens: u32,
    output_tokens_details: Thought,
    total_tokens: u32,
}

#[derive(Serialize)]
struct Input {
    #[serde(flatten)]
    cached: Cached,
    /// Tokens that were computed, and are kept for the next request.
    cache_write_tokens: u32,
}

impl Usage {
    pub fn new(ended: &Ended, reasoning_tokens: usize) -> Self {
        let (input_tokens, output_tokens) = (ended.summary.prompt_tokens, ended.summary.ids.len() as u32);
        let cached = Cached::of(ended);
        let cache_write_tokens = input_tokens.saturating_sub(cached.cached_tokens);
        Usage {
            input_tokens,
            input_tokens_details: Input { cached, cache_write_tokens },
            output_tokens,
            output_tokens_details: Thought { reasoning_tokens },
            total_tokens: input_tokens.saturating_add(output_tokens),
        }
    }
}

/// One thing of an answer.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Item {
    Message { id: String, status: &'static str, role: &'static str, content: Vec<Part> },
    Reasoning { id: String, status: &'static str, summary: [Part; 0], content: Vec<Part> },
    FunctionCall { id: String, status: &'static str, call_id: String, name: String, arguments: String },
}

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    OutputText { text: String, annotations: [u8; 0], logprobs: Vec<Logprob> },
    ReasoningText { text: String },
}

/// The items that are text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Message,
    Reasoning,
}

impl Kind {
    /// What the ids of its items begin with.
    pub fn prefix(self) -> &'static str {
        if self == Kind::Message { "msg_" } else { "rs_" }
    }

    /// The part that holds the item's text.
    pub fn part(self, text: &str, logprobs: Vec<Logprob>) -> Part {
        let text = text.to_owned();
        match self {
            Kind::Message => Part::OutputText { text, annotations: [], logprobs },
            Kind::Reasoning => Part::ReasoningText { text },
        }
    }

    pub fn item(self, id: &str, status: &'static str, content: Vec<Part>) -> Item {
        let id = id.to_owned();
        match self {
            Kind::Message => Item::Message { id, status, role: "assistant", content },
            Kind::Reasoning => Item::Reasoning { id, status, summary: [], content },
        }
    }
}

/// A function call, whose arguments are JSON text; none of them while it begins.
pub fn call(id: &str, status: &'static str, call: &ToolCall, arguments: &str) -> Item {
    let call_id = call.id.clone().unwrap_or_default();
    Item::FunctionCall { id: id.to_owned(), status, call_id, name: call.function.name.clone(), arguments: arguments.to_owned() }
}

/// One event of a stream, with its name and number.
#[derive(Serialize)]
pub struct Event<'a> {
    #[serde(rename = "type")]
    pub name: &'a str,
    pub sequence_number: u64,
    #[serde(flatten)]
    pub of: Of<'a>,
}

/// What an event is of.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Of<'a> {
    Response {
        response: Response<'a>,
    },
    Item {
        output_index: usize,
        item: &'a Item,
    },
    Part {
        item_id: &'a str,
        output_index: usize,
        content_index: usize,
        part: &'a Part,
    },
    /// More of a text.
    Delta {
        item_id: &'a str,
        output_index: usize,
        content_index: usize,
        delta: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        logprobs: Option<&'a [Logprob]>,
    },
    /// A whole text.
    Text {
        item_id: &'a str,
        output_index: usize,
        content_index: usize,
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        logprobs: Option<&'a [Logprob]>,
    },
    ArgumentsDelta {
        item_id: &'a str,
        output_index: usize,
        delta: &'a str,
    },
    Arguments {
        item_id: &'a str,
        output_index: usize,
        name: &'a str,
        arguments: &'a str,
    },
}

impl Event<'_> {
    /// As a server-sent event.
    pub fn sent(&self) -> String {
        // Records of numbers and texts always have a JSON form.
        format!("event: {}\ndata: {}\n\n", self.name, serde_json::to_string(self).unwrap_or_default())
    }
}
