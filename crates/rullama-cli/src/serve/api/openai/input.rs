//! The input of `/v1/responses`: a text, or items of a conversation.

use crate::serve::api::{Failure, message, value};
use rullama::text::chat::FunctionCall;
use rullama::{Message, Role, ToolCall};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Call {
    call_id: Option<String>,
    name: String,
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct Output {
    call_id: Option<String>,
    output: Value,
}

/// The messages of an input.
///
/// # Errors
/// An item of another form, or of a kind that is not understood.
pub fn messages(input: Option<Value>, instructions: Option<String>) -> Result<Vec<Message>, Failure> {
    let mut messages: Vec<Message> = instructions.filter(|text| !text.is_empty()).map(Message::system).into_iter().collect();
    let items = match input {
        None | Some(Value::Null) => return Err(Failure::field("input", "is missing: give a text or a list of items.")),
        Some(Value::String(text)) => {
            messages.push(Message::user(text));
            return Ok(messages);
        }
        Some(Value::Array(items)) if !items.is_empty() => items,
        Some(_) => return Err(Failure::field("input", "must be a text or a list of items with at least one.")),
    };
    // A thought waits for the message or the call that it led to.
    let mut thought = String::new();
    for (i, item) in items.iter().enumerate() {
        let place = format!("input[{i}]");
        match item.get("type").and_then(Value::as_str).unwrap_or("message") {
            "message" => {
                let mut message = message(item, &place)?;
                if message.role == Role::Assistant {
                    message.thinking = std::mem::take(&mut thought);
                }
                messages.push(message);
            }
            "reasoning" => thought.push_str(&thought_of(item)),
            "function_call" => add_call(&mut messages, call(value(item, &place)?, &place)?, std::mem::take(&mut thought)),
            "function_call_output" => messages.push(output(value(item, &place)?, &place)?),
            other => {
                let what = format!("is \"{other}\", but only messages, function calls, their outputs and reasoning are understood here.");
                return Err(Failure::field(format!("{place}.type"), what));
            }
        }
    }
    Ok(merged(messages))
}

/// One system prompt: the template has a place for the first message's alone.
fn merged(mut messages: Vec<Message>) -> Vec<Message> {
    let is_system = |message: &Message| matches!(message.role, Role::System | Role::Developer);
    while messages.len() > 1 && is_system(&messages[0]) && is_system(&messages[1]) {
        let second = messages.remove(1);
        messages[0].parts.clear();
        messages[0].content = format!("{}\n\n{}", messages[0].content, second.content);
    }
    messages
}

/// What was thought, from a reasoning item.
fn thought_of(item: &Value) -> String {
    let texts = |name: &str| -> String {
        let parts = item.get(name).and_then(Value::as_array).into_iter().flatten();
        parts.filter_map(|part| part.get("text").and_then(Value::as_str)).collect()
    };
    let whole = texts("content");
    if whole.is_empty() { texts("summary") } else { whole }
}

fn call(call: Call, place: &str) -> Result<ToolCall, Failure> {
    let text = call.arguments.unwrap_or_default();
    let arguments = if text.trim().is_empty() { Ok(Map::new()) } else { serde_json::from_str(&text) };
    let arguments =
        arguments.map_err(|error| Failure::field(format!("{place}.arguments"), format!("must be JSON text of an object: {error}.")))?;
    Ok(ToolCall { id: call.call_id, function: FunctionCall { index: 0, name: call.name, arguments } })
}

/// Calls that follow each other are one message's.
fn add_call(messages: &mut Vec<Message>, call: ToolCall, thinking: String) {
    match messages.last_mut() {
        Some(last) if last.role == Role::Assistant && thinking.is_empty() => last.tool_calls.push(call),
        _ => messages.push(Message { thinking, tool_calls: vec![call], ..Message::assistant("") }),
    }
}

fn output(output: Output, place: &str) -> Result<Message, Failure> {
    let content = match output.output {
        Value::String(text) => text,
        Value::Array(parts) => {
            let text = |part: &Value| part.get("text").and_then(Value::as_str).map(str::to_owned);
            let wrong = || Failure::field(format!("{place}.output"), "must be a text, or a list of texts.");
            parts.iter().map(|part| text(part).ok_or_else(wrong)).collect::<Result<String, _>>()?
        }
        other => other.to_string(),
    };
    Ok(Message { tool_call_id: output.call_id, ..Message::new(Role::Tool, content) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_conversation_with_a_tool() {
        let input = json!([
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
            {"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "Ask."}]},
            {"type": "function_call", "call_id": "a", "name": "weather", "arguments": "{\"city\": \"Oslo\"}"},
            {"type": "function_call", "call_id": "b", "name": "weather", "arguments": "{\"city\": \"Rome\"}"},
            {"type": "function_call_output", "call_id": "a", "output": "rain"},
            {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "sun"}]},
        ]);
        let messages = messages(Some(input), Some("You are a bot.".to_owned())).unwrap();
        assert_eq!(messages.len(), 5);
        assert_eq!(messages[0].content, "You are a bot.\n\nBe brief.");
        assert_eq!((messages[1].role.clone(), messages[1].content.as_str()), (Role::User, "Weather?"));
        assert_eq!((messages[2].thinking.as_str(), messages[2].tool_calls.len()), ("Ask.", 2));
        assert_eq!(messages[2].tool_calls[1].function.arguments["city"], "Rome");
        assert_eq!((messages[4].content.as_str(), messages[4].tool_call_id.as_deref()), ("sun", Some("b")));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (input, field) in [
            (json!([]), "input"),
            (json!(3), "input"),
            (json!([{"type": "item_reference", "id": "x"}]), "input[0].type"),
            (json!([{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]), "input[0].content"),
            (json!([{"type": "function_call", "call_id": "a", "name": "f", "arguments": "{"}]), "input[0].arguments"),
            (json!([{"type": "function_call", "call_id": "a"}]), "input[0]"),
            (json!([{"type": "function_call_output", "call_id": "a", "output": [3]}]), "input[0].output"),
        ] {
            let failure = messages(Some(input.clone()), None).unwrap_err();
            assert_eq!(failure.field.as_deref(), Some(field), "{input}: {}", failure.message);
        }
        assert_eq!(messages(None, None).unwrap_err().field.as_deref(), Some("input"));
    }
}
