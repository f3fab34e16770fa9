//! `/v1/chat/completions`: from a request to what is asked of the model.

use super::answers::{Kind, Record};
use super::choice::tools_of;
use super::wire::{Common, thinking};
use crate::serve::api::{Failure, format, logprobs, message, value};
use crate::serve::host::{Ask, Conversation, Prompt};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Request {
    messages: Option<Vec<Value>>,
    tools: Option<Vec<Value>>,
    response_format: Option<Value>,
    reasoning_effort: Option<Value>,
    logprobs: Option<bool>,
    top_logprobs: Option<u32>,
    modalities: Option<Vec<String>>,
    functions: Option<Vec<Value>>,
    web_search_options: Option<Value>,
}

/// What a request comes to.
pub struct Wish {
    pub model: String,
    pub ask: Ask,
    pub stream: bool,
    pub record: Record,
}

/// # Errors
/// What cannot be read, or cannot be had.
pub fn wish(request: &Value) -> Result<Wish, Failure> {
    let common: Common = value(request, "")?;
    let asked: Request = value(request, "")?;
    refuse(&asked)?;
    let wanted = format::openai(asked.response_format.as_ref(), "response_format")?;
    let messages = asked.messages.unwrap_or_default();
    if messages.is_empty() {
        return Err(Failure::field("messages", "is empty, but must have at least one message."));
    }
    let messages = messages.iter().enumerate().map(|(i, json)| message(json, &format!("messages[{i}]")));
    let messages = messages.collect::<Result<_, _>>()?;
    let (tools, forced) = tools_of(&common, asked.tools)?;
    let thinking = thinking(asked.reasoning_effort.as_ref(), "reasoning_effort")?;
    let ask = Ask {
        prompt: Prompt::Chat(Conversation { messages, tools, thinking, ..Conversation::default() }),
        params: common.params()?,
        logit_bias: common.logit_bias()?,
        logprobs: logprobs(asked.logprobs, asked.top_logprobs)?,
        one_call: common.parallel_tool_calls == Some(false),
        forced,
        format: wanted,
    };
    let record = Record::new(&common, Kind::Chat);
    Ok(Wish { model: common.model, ask, stream: common.stream.unwrap_or(false), record })
}

fn refuse(asked: &Request) -> Result<(), Failure> {
    if asked.functions.as_ref().is_some_and(|functions| !functions.is_empty()) {
        return Err(Failure::field("functions", "is the former name of `tools`, which is understood here. Use that."));
    }
    if let Some(other) = asked.modalities.iter().flatten().find(|kind| *kind != "text") {
        return Err(Failure::field("modalities", format!("has \"{other}\", but answers are text alone here. Leave it out.")));
    }
    if asked.web_search_options.as_ref().is_some_and(|options| !options.is_null()) {
        return Err(Failure::field("web_search_options", "cannot be heeded: nothing is looked up here. Offer a tool that searches."));
    }
    Ok(())
}
