//! `/v1/responses` in its common part: from a request to what is asked of the model.

use super::choice::tools_of;
use super::events::Record;
use super::input::messages;
use super::items::{self, Shown};
use super::wire::{Common, thinking};
use crate::serve::api::{Failure, format, logprobs, value};
use crate::serve::host::{Ask, Conversation, Prompt};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What `include` names to have log-probabilities.
const LOGPROBS: &str = "message.output_text.logprobs";

#[derive(Deserialize)]
struct Request {
    input: Option<Value>,
    instructions: Option<String>,
    tools: Option<Vec<Value>>,
    text: Option<Text>,
    reasoning: Option<Reasoning>,
    truncation: Option<String>,
    previous_response_id: Option<Value>,
    conversation: Option<Value>,
    prompt: Option<Value>,
    background: Option<bool>,
    top_logprobs: Option<u32>,
    include: Option<Vec<String>>,
    metadata: Option<Value>,
}

#[derive(Deserialize)]
struct Text {
    format: Option<Value>,
}

#[derive(Deserialize)]
struct Reasoning {
    effort: Option<Value>,
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
    let wanted = format::openai(asked.text.as_ref().and_then(|text| text.format.as_ref()), "text.format")?;
    let shown = shown(&common, &asked);
    let (tools, forced) = tools_of(&common, asked.tools)?;
    let effort = asked.reasoning.and_then(|reasoning| reasoning.effort);
    let thinking = thinking(effort.as_ref(), "reasoning.effort")?;
    let truncate = match asked.truncation.as_deref() {
        None | Some("disabled") => false,
        Some("auto") => true,
        Some(other) => return Err(Failure::field("truncation", format!("is \"{other}\", but must be \"auto\" or \"disabled\"."))),
    };
    let included = asked.include.iter().flatten().any(|name| name == LOGPROBS);
    let logprobs = logprobs(Some(included || asked.top_logprobs.is_some_and(|n| n > 0)), asked.top_logprobs)?;
    let messages = messages(asked.input, asked.instructions)?;
    let ask = Ask {
        prompt: Prompt::Chat(Conversation { messages, tools, thinking, truncate, before: Vec::new() }),
        params: common.params()?,
        logit_bias: common.logit_bias()?,
        logprobs,
        one_call: common.parallel_tool_calls == Some(false),
        forced,
        format: wanted,
    };
    Ok(Wish { record: Record::new(&common.model, shown), model: common.model, ask, stream: common.stream.unwrap_or(false) })
}

/// The request as its response shows it.
fn shown(common: &Common, asked: &Request) -> Shown {
    let effort = asked.reasoning.as_ref().and_then(|reasoning| reasoning.effort.clone());
    let format = asked.text.as_ref().and_then(|text| text.format.clone()).unwrap_or_else(|| json!({"type": "text"}));
    Shown {
        instructions: asked.instructions.clone(),
        max_output_tokens: common.max_output_tokens,
        parallel_tool_calls: common.parallel_tool_calls.unwrap_or(true),
        previous_response_id: None,
        reasoning: items::Reasoning { effort, summary: None },
        store: false,
        temperature: common.temperature,
        text: items::Text { format },
        tool_choice: common.tool_choice.clone().unwrap_or_else(|| Value::from("auto")),
        tools: asked.tools.clone().unwrap_or_default(),
        top_p: common.top_p,
        truncation: asked.truncation.clone().unwrap_or_else(|| "disabled".to_owned()),
        metadata: asked.metadata.clone().unwrap_or_else(|| Value::Object(Map::new())),
    }
}

fn refuse(asked: &Request) -> Result<(), Failure> {
    let given = |value: &Option<Value>| value.as_ref().is_some_and(|value| !value.is_null());
    for (name, value) in [("previous_response_id", &asked.previous_response_id), ("conversation", &asked.conversation)] {
        if given(value) {
            return Err(Failure::field(name, "cannot be gone on with: nothing is kept here. Send all of the conversation as `input`."));
        }
    }
    if given(&asked.prompt) {
        return Err(Failure::field("prompt", "names a stored prompt, and none is stored here. Send it as `instructions` and `input`."));
    }
    if asked.background == Some(true) {
        return Err(Failure::field("background", "cannot be had: an answer ends with its request. Leave it out, and stream."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_cannot_be_had_is_named() {
        for (field, value) in [
            ("previous_response_id", json!("resp_1")),
            ("conversation", json!("conv_1")),
            ("prompt", json!({"id": "p"})),
            ("background", json!(true)),
            ("truncation", json!("some")),
            ("top_logprobs", json!(21)),
            ("tool_choice", json!("required")),
        ] {
            let mut request = json!({"model": "m", "input": "a"});
            request[field] = value;
            assert_eq!(wish(&request).err().and_then(|failure| failure.field).as_deref(), Some(field));
        }
        let request = json!({"model": "m", "input": "a", "text": {"format": {"type": "json_schema"}}});
        assert_eq!(wish(&request).err().and_then(|failure| failure.field).as_deref(), Some("text.format"));
        let request = json!({"model": "m", "input": "a", "text": {"format": {"type": "text"}}, "store": true, "include": null});
        assert!(wish(&request).is_ok());
    }
}
