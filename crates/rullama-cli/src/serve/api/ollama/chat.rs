//! `/api/chat`: from a request to what is asked of the model.

use super::answers::{Kind, Record};
use super::wire::{Chat, Common};
use crate::serve::api::{Failure, format, logprobs, message, value};
use crate::serve::host::{Ask, Conversation, KeepAlive, Prompt};
use serde_json::Value;

/// What a request comes to.
pub struct Wish {
    pub model: String,
    pub ask: Ask,
    /// Nothing is to be answered.
    pub empty: bool,
    pub keep_alive: Option<KeepAlive>,
    pub stream: bool,
    pub record: Record,
}

/// # Errors
/// What cannot be read, or cannot be had.
pub fn wish(request: &Value) -> Result<Wish, Failure> {
    let Chat { model, messages, tools } = value(request, "")?;
    let common: Common = value(request, "")?;
    let thinking = common.thinking()?;
    let messages = messages.unwrap_or_default();
    let empty = messages.is_empty();
    let messages = messages.iter().enumerate().map(|(i, json)| message(json, &format!("messages[{i}]")));
    let messages = messages.collect::<Result<_, _>>()?;
    // Ollama leaves out old messages, too, unless it is told not to.
    let truncate = common.truncate.unwrap_or(true);
    let prompt = Prompt::Chat(Conversation { messages, tools: tools.unwrap_or_default(), thinking, truncate, before: Vec::new() });
    finish(model, common, prompt, empty, Kind::Chat)
}

/// What `/api/chat` and `/api/generate` have in common.
///
/// # Errors
/// As [`wish`].
pub fn finish(model: String, common: Common, prompt: Prompt, empty: bool, kind: Kind) -> Result<Wish, Failure> {
    let wanted = format::ollama(common.format.as_ref())?;
    let (params, keep_alive) = (common.params()?, common.keep_alive()?);
    let ask = Ask { prompt, params, logprobs: logprobs(common.logprobs, common.top_logprobs)?, format: wanted, ..Ask::default() };
    let record = Record::new(model.clone(), kind);
    Ok(Wish { model, ask, empty, keep_alive, stream: common.stream.unwrap_or(true), record })
}
