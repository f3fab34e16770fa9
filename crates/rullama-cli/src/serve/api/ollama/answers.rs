//! The answers of `/api/chat` and `/api/generate`: a line of JSON for each part, or one record for all.

use crate::serve::api::{Collected, Failure, Form, Format, rfc3339};
use crate::serve::host::{Done, Ended, Logprobs, Piece, Reason, TokenText};
use rullama::ToolCall;
use serde::Serialize;
use std::time::SystemTime;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Chat,
    Generate,
    /// Generated without a template: there is no context to go on with.
    Raw,
}

/// What the answers to a request have in common.
pub struct Record {
    model: String,
    kind: Kind,
}

#[derive(Serialize)]
struct Line<'a> {
    model: &'a str,
    created_at: String,
    #[serde(flatten)]
    said: Said,
    done: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logprobs: Vec<Logprob>,
    #[serde(flatten)]
    end: Option<End>,
}

/// What was said, in the fields of the request's kind.
#[derive(Serialize)]
#[serde(untagged)]
enum Said {
    Chat {
        message: Reply,
    },
    Generate {
        response: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        thinking: String,
    },
}

#[derive(Serialize)]
struct Reply {
    role: &'static str,
    content: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    thinking: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall>,
}

/// Times are nanoseconds.
#[derive(Serialize)]
struct End {
    done_reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Vec<u32>>,
    #[serde(flatten)]
    counts: Option<Counts>,
}

#[derive(Serialize)]
struct Counts {
    total_duration: u64,
    load_duration: u64,
    prompt_eval_count: u32,
    prompt_eval_duration: u64,
    eval_count: usize,
    eval_duration: u64,
}

impl Record {
    pub fn new(model: String, kind: Kind) -> Self {
        Record { model, kind }
    }

    fn line(&self, said: Collected, end: Option<End>) -> Line<'_> {
        let Collected { content, thinking, calls, logprobs, .. } = said;
        let said = match self.kind {
            Kind::Chat => Said::Chat { message: Reply { role: "assistant", content, thinking, tool_calls: calls } },
            Kind::Generate | Kind::Raw => Said::Generate { response: content, thinking },
        };
        let logprobs = logprobs.iter().map(Logprob::from).collect();
        Line { model: &self.model, created_at: rfc3339(SystemTime::now()), said, done: end.is_some(), logprobs, end }
    }

    fn end(&self, ended: &Ended, done: &Done) -> End {
        let nanoseconds = |seconds: f64| (seconds * 1e9) as u64;
        let (summary, load) = (&ended.summary, done.load.as_nanos() as u64);
        let (prompt, answer) = (nanoseconds(summary.timings.prefill_s), nanoseconds(summary.timings.decode_s));
        let counts = Counts {
            total_duration: done.waited.as_nanos() as u64 + load + prompt + answer,
            load_duration: load,
            prompt_eval_count: summary.prompt_tokens,
            prompt_eval_duration: prompt,
            eval_count: summary.ids.len(),
            eval_duration: answer,
        };
        let done_reason = if ended.reason == Reason::Length { "length" } else { "stop" };
        let context = (self.kind == Kind::Generate).then(|| ended.context.clone());
        End { done_reason, context, counts: Some(counts) }
    }

    /// All of an answer.
    pub fn whole(&mut self, said: Collected, ended: &Ended, done: &Done) -> impl Serialize {
        let end = self.end(ended, done);
        self.line(said, Some(end))
    }

    /// The answer to a request that asked for none.
    pub fn nothing(&self, done_reason: &'static str) -> impl Serialize {
        self.line(Collected::default(), Some(End { done_reason, context: None, counts: None }))
    }
}

fn in_line(record: &impl Serialize) -> String {
    // Records of numbers and texts always have a JSON form.
    let mut line = serde_json::to_string(record).unwrap_or_default();
    line.push('\n');
    line
}

impl Format for Record {
    const CONTENT_TYPE: &'static str = "application/x-ndjson";

    fn piece(&mut self, piece: Piece) -> String {
        in_line(&self.line(piece.into(), None))
    }

    fn done(&mut self, done: Done) -> String {
        let end = done.answer.as_ref().map(|ended| self.end(ended, &done));
        in_line(&self.line(Collected::default(), end))
    }

    fn failed(&mut self, failure: &Failure) -> String {
        in_line(&failure.body(Form::Ollama))
    }
}

/// A token, and the likeliest in its place.
#[derive(Serialize)]
struct Logprob {
    #[serde(flatten)]
    chosen: Token,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    top_logprobs: Vec<Token>,
}

#[derive(Serialize)]
struct Token {
    token: String,
    logprob: f32,
    bytes: Vec<u8>,
}

impl From<&TokenText> for Token {
    fn from(token: &TokenText) -> Self {
        Token { token: token.text(), logprob: token.logprob, bytes: token.bytes.clone() }
    }
}

impl From<&Logprobs> for Logprob {
    fn from(logprobs: &Logprobs) -> Self {
        Logprob { chosen: (&logprobs.chosen).into(), top_logprobs: logprobs.top.iter().map(Token::from).collect() }
    }
}
