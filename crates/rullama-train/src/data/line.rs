//! One JSON object to what is rendered.

use rullama_text::chat::{Message, Role, Tool};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Why a line is no example.
pub(super) type Reason = Cow<'static, str>;

/// An example before it is encoded.
#[derive(Debug)]
pub(super) enum Source {
    Chat {
        messages: Vec<Message>,
        /// Of each message, whether it is trained where it is the model's.
        learn: Vec<bool>,
        tools: Vec<Tool>,
        thinking: bool,
    },
    /// As it is, special tokens included.
    Text(String),
}

/// A field that is there and not null.
fn given<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    object.get(key).filter(|value| !value.is_null())
}

/// What is there, and neither null nor empty.
fn filled<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    given(object, key)
        .filter(|value| !matches!(value, Value::String(text) if text.is_empty()) && !matches!(value, Value::Array(list) if list.is_empty()))
}

pub(super) fn parse(bytes: &[u8]) -> Result<Source, Reason> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| not_json(bytes, &error))?;
    let Value::Object(mut object) = value else {
        return Err("not a JSON object: write one with `messages`, `prompt` and `completion`, or `text`".into());
    };
    if given(&object, "messages").is_some() {
        return conversation(object);
    }
    if given(&object, "prompt").is_some() && given(&object, "completion").is_some() {
        return pair(object);
    }
    match object.remove("text") {
        Some(Value::String(text)) if text.is_empty() => Err("`text` is empty".into()),
        Some(Value::String(text)) => Ok(Source::Text(text)),
        Some(other) if !other.is_null() => Err(format!("`text` is {}, but must be a text", kind(&other)).into()),
        _ => Err(unknown_shape(&object)),
    }
}

fn not_json(bytes: &[u8], error: &serde_json::Error) -> Reason {
    match std::str::from_utf8(bytes) {
        Err(_) => "not UTF-8: save the file in that encoding".into(),
        Ok(_) if bytes.contains(&0) => "not text: it holds bytes of value 0".into(),
        Ok(_) => format!("not valid JSON: {error}").into(),
    }
}

fn unknown_shape(object: &Map<String, Value>) -> Reason {
    let has = |key: &str| object.contains_key(key);
    let what = "none of `messages`, `prompt` + `completion`, `text`";
    let remedy = if has("conversations") || has("conversation") {
        "rename the list to `messages`, with `role` (user, assistant) and `content` in each"
    } else if has("instruction") {
        "name the instruction `prompt` and the output `completion`"
    } else if has("chosen") || has("rejected") {
        "pairs of preferences are not trained on: keep the chosen answer as `messages`"
    } else if has("prompt") {
        "a `prompt` needs a `completion`"
    } else if has("completion") {
        "a `completion` needs a `prompt`"
    } else if object.is_empty() {
        "the object is empty"
    } else {
        let keys: Vec<&str> = object.keys().take(5).map(|key| clip(key, 24)).collect();
        return format!("{what}; it has `{}`", keys.join("`, `")).into();
    };
    format!("{what}: {remedy}").into()
}

/// `messages`, or a chat's `prompt` and `completion` as one list.
fn conversation(mut object: Map<String, Value>) -> Result<Source, Reason> {
    let list = match object.remove("messages") {
        Some(Value::Array(list)) => list,
        Some(other) => return Err(format!("`messages` is {}, but must be a list", kind(&other)).into()),
        None => Vec::new(),
    };
    let messages = messages(list, true)?;
    finish(&object, messages)
}

fn pair(mut object: Map<String, Value>) -> Result<Source, Reason> {
    let mut side = |key: &'static str, role: Role, learn: bool| match object.remove(key) {
        Some(Value::String(text)) => Ok(vec![(Message::new(role, text), learn)]),
        Some(Value::Array(list)) => messages(list, learn),
        other => Err(Reason::from(format!("`{key}` is {}, but must be a text or a list of messages", kind(&other.unwrap_or_default())))),
    };
    let mut all = side("prompt", Role::User, false)?;
    all.extend(side("completion", Role::Assistant, true)?);
    finish(&object, all)
}

fn messages(list: Vec<Value>, learn: bool) -> Result<Vec<(Message, bool)>, Reason> {
    let text = |(message, learn): (Message, bool)| {
        let plain = message.media().next().is_none();
        plain.then_some((message, learn)).ok_or_else(|| "a picture or a sound, but only text is trained on: leave it out".into())
    };
    let one = |(i, value)| message(value, learn).and_then(text).map_err(|reason| Reason::from(format!("message {}: {reason}", i + 1)));
    list.into_iter().enumerate().map(one).collect()
}

/// Fields of a message that would be lost, each with what to do.
const UNREAD: [(&str, &str); 4] = [
    ("function_call", "write it as an entry of `tool_calls`"),
    ("images", "only text is trained on: leave the example out"),
    ("audio", "only text is trained on: leave the example out"),
    ("refusal", "write it as the `content`"),
];

fn message(value: Value, learn: bool) -> Result<(Message, bool), Reason> {
    let Value::Object(object) = &value else {
        return Err(format!("it is {}, but must be an object with `role` and `content`", kind(&value)).into());
    };
    if let Some((key, remedy)) = UNREAD.iter().find(|(key, _)| filled(object, key).is_some()) {
        return Err(format!("`{key}` is not read; {remedy}").into());
    }
    let learn = learn && weight(object)?;
    if given(object, "role").is_none() {
        return Err("a message without `role`: system, user, assistant or tool".into());
    }
    let calls = filled(object, "tool_calls").is_some();
    let has_content = given(object, "content").is_some();
    let message: Message = serde_json::from_value(value).map_err(|error| Reason::from(error.to_string()))?;
    if let Role::Other(name) = &message.role {
        return Err(format!("unknown role `{}`: it must be system, developer, user, assistant or tool", clip(name, 40)).into());
    }
    if !(has_content || calls && message.role == Role::Assistant) {
        return Err("a message without content".into());
    }
    if calls && message.role != Role::Assistant {
        return Err("only the assistant's messages have `tool_calls`".into());
    }
    Ok((message, learn))
}

/// Whether a message is trained, as OpenAI's files have it.
fn weight(object: &Map<String, Value>) -> Result<bool, Reason> {
    match given(object, "weight").map(Value::as_f64) {
        None => Ok(true),
        Some(Some(weight)) if weight == 0.0 || weight == 1.0 => Ok(weight == 1.0),
        Some(_) => Err("`weight` must be 0 (not trained) or 1".into()),
    }
}

fn finish(object: &Map<String, Value>, mut all: Vec<(Message, bool)>) -> Result<Source, Reason> {
    if filled(object, "functions").is_some() {
        return Err("`functions` is not read; write `tools`".into());
    }
    if let Some(key) = ["images", "image", "audio", "videos"].into_iter().find(|key| filled(object, key).is_some()) {
        return Err(format!("`{key}` is not read; only text is trained on: leave the example out").into());
    }
    if let Some(system) = filled(object, "system") {
        let Value::String(system) = system else { return Err(format!("`system` is {}, but must be a text", kind(system)).into()) };
        if all.first().is_some_and(|(first, _)| matches!(first.role, Role::System | Role::Developer)) {
            return Err("`system` and a system message: keep one of them".into());
        }
        all.insert(0, (Message::system(system), false));
    }
    let tools = tools(object)?;
    let (messages, learn): (Vec<Message>, Vec<bool>) = all.into_iter().unzip();
    if messages.is_empty() {
        return Err("no messages".into());
    }
    check_results(&messages)?;
    let thinking = match thinking_told(object)? {
        Some(told) => told,
        None => {
            let last_user = messages.iter().rposition(|message| message.role == Role::User);
            messages[last_user.map_or(0, |user| user + 1)..].iter().any(|m| m.role == Role::Assistant && !m.thinking.is_empty())
        }
    };
    Ok(Source::Chat { messages, learn, tools, thinking })
}

/// A list, or JSON text of one, as data sets have it.
fn tools(object: &Map<String, Value>) -> Result<Vec<Tool>, Reason> {
    let wrong = |error: serde_json::Error| Reason::from(format!("`tools`: {error}"));
    match filled(object, "tools") {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => serde_json::from_str(text).map_err(wrong),
        Some(list) => serde_json::from_value(list.clone()).map_err(wrong),
    }
}

fn thinking_told(object: &Map<String, Value>) -> Result<Option<bool>, Reason> {
    let settings = given(object, "chat_template_kwargs").and_then(Value::as_object);
    let told = settings.and_then(|settings| given(settings, "enable_thinking")).or_else(|| given(object, "enable_thinking"));
    match told {
        None => Ok(None),
        Some(Value::Bool(told)) => Ok(Some(*told)),
        Some(other) => Err(format!("`enable_thinking` is {}, but must be true or false", kind(other)).into()),
    }
}

/// A tool's result is rendered with the calls before it; without any it would be lost.
fn check_results(messages: &[Message]) -> Result<(), Reason> {
    let mut called = false;
    for (i, message) in messages.iter().enumerate() {
        match message.role {
            Role::Tool if !called => return Err(format!("message {}: a tool's result without a call before it", i + 1).into()),
            Role::Tool => {}
            _ => called = !message.tool_calls.is_empty(),
        }
    }
    Ok(())
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The beginning of a text.
pub(super) fn clip(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
