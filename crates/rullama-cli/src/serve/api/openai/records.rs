//! The answers of `/v1/chat/completions`, `/v1/completions` and `/v1/models` as they are sent.
//!
//! Source: platform.openai.com/docs/api-reference.

use crate::serve::host::{Ended, Logprobs, Reason, TokenText};
use rullama::ToolCall;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// An answer, or a chunk of one.
#[derive(Serialize)]
pub struct Completion<'a> {
    pub id: &'a str,
    pub object: &'static str,
    /// Seconds since 1970.
    pub created: u64,
    pub model: &'a str,
    pub system_fingerprint: &'static str,
    pub choices: Vec<Choice>,
    /// Null in the chunks of a stream before the one that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Usage>>,
}

#[derive(Serialize)]
pub struct Choice {
    pub index: u32,
    #[serde(flatten)]
    pub said: Said,
    pub logprobs: Option<LogprobLists>,
    pub finish_reason: Option<&'static str>,
}

/// What is said, by the kind of answer.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    Message(Message),
    Delta(Delta),
    Text(String),
}

#[derive(Serialize)]
pub struct Message {
    pub role: &'static str,
    /// Null where the model only calls tools.
    pub content: Option<String>,
    pub refusal: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<Call>,
}

/// What is new in a chunk.
#[derive(Default, Serialize)]
pub struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<Call>,
}

#[derive(Serialize)]
pub struct Call {
    /// Its number in the answer, in chunks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    pub id: Option<String>,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub function: Function,
}

#[derive(Serialize)]
pub struct Function {
    pub name: String,
    /// JSON text.
    pub arguments: String,
}

impl Call {
    pub fn new(call: ToolCall, index: Option<usize>) -> Self {
        let arguments = Value::Object(call.function.arguments).to_string();
        Call { index, id: call.id, kind: "function", function: Function { name: call.function.name, arguments } }
    }
}

/// Log-probabilities: of a chat a record a token, of a completion a list for each property.
#[derive(Serialize)]
#[serde(untagged)]
pub enum LogprobLists {
    Chat {
        content: Vec<Logprob>,
        refusal: Option<Vec<Logprob>>,
    },
    Completion {
        tokens: Vec<String>,
        token_logprobs: Vec<f32>,
        top_logprobs: Vec<BTreeMap<String, f32>>,
        /// Characters of the answer before each token.
        text_offset: Vec<usize>,
    },
}

#[derive(Debug, Clone, Serialize)]
pub struct Logprob {
    #[serde(flatten)]
    chosen: TokenLogprob,
    top_logprobs: Vec<TokenLogprob>,
}

#[derive(Debug, Clone, Serialize)]
struct TokenLogprob {
    token: String,
    logprob: f32,
    bytes: Vec<u8>,
}

impl From<&TokenText> for TokenLogprob {
    fn from(token: &TokenText) -> Self {
        TokenLogprob { token: token.text(), logprob: token.logprob, bytes: token.bytes.clone() }
    }
}

impl From<&Logprobs> for Logprob {
    fn from(logprobs: &Logprobs) -> Self {
        Logprob { chosen: (&logprobs.chosen).into(), top_logprobs: logprobs.top.iter().map(TokenLogprob::from).collect() }
    }
}

/// Tokens of a request and its answer.
#[derive(Serialize)]
pub struct Usage {
    prompt_tokens: u32,
    completion_tokens: u32,
    total_tokens: u32,
    prompt_tokens_details: Cached,
    completion_tokens_details: Thought,
}

#[derive(Serialize)]
pub struct Cached {
    pub cached_tokens: u32,
}

#[derive(Serialize)]
pub struct Thought {
    pub reasoning_tokens: usize,
}

impl Cached {
    /// Tokens of the prompt that were there from before.
    pub fn of(ended: &Ended) -> Self {
        Cached { cached_tokens: ended.summary.prompt_tokens.saturating_sub(ended.summary.timings.prefilled_tokens) }
    }
}

impl Usage {
    pub fn new(ended: &Ended, reasoning_tokens: usize) -> Self {
        let (prompt_tokens, completion_tokens) = (ended.summary.prompt_tokens, ended.summary.ids.len() as u32);
        Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens.saturating_add(completion_tokens),
            prompt_tokens_details: Cached::of(ended),
            completion_tokens_details: Thought { reasoning_tokens },
        }
    }
}

/// The reason as the API names it.
pub fn finish_reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Stop => "stop",
        Reason::Length => "length",
        Reason::ToolCalls => "tool_calls",
    }
}

/// `/v1/models`.
#[derive(Serialize)]
pub struct Models {
    pub object: &'static str,
    pub data: Vec<Model>,
}

#[derive(Serialize)]
pub struct Model {
    pub id: String,
    pub object: &'static str,
    /// Seconds since 1970.
    pub created: u64,
    pub owned_by: &'static str,
}
