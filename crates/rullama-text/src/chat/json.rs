//! The JSON forms of messages and tools, as Ollama's and OpenAI's APIs have them.

use super::media::{MediaKind, MediaPart, Part, placed};
use super::types;
use super::video;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

#[derive(Deserialize)]
pub(super) struct Message {
    role: types::Role,
    #[serde(default)]
    content: Content,
    thinking: Option<String>,
    reasoning: Option<String>,
    reasoning_content: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    tool_calls: Vec<types::ToolCall>,
    tool_name: Option<String>,
    name: Option<String>,
    tool_call_id: Option<String>,
    /// Ollama's: base64.
    #[serde(default, deserialize_with = "null_is_default")]
    images: Vec<String>,
}

impl TryFrom<Message> for types::Message {
    type Error = String;

    fn try_from(message: Message) -> Result<Self, String> {
        let Message { role, content, tool_calls, tool_call_id, .. } = message;
        let thoughts = [message.thinking, message.reasoning, message.reasoning_content];
        let thinking = thoughts.into_iter().flatten().find(|text| !text.is_empty()).unwrap_or_default();
        // Elsewhere `name` is one of several people.
        let name = message.name.filter(|_| role == types::Role::Tool);
        let tool_name = [message.tool_name, name].into_iter().flatten().find(|name| !name.is_empty());
        let images: Vec<MediaPart> = message.images.into_iter().map(|source| MediaPart::new(MediaKind::Image, source)).collect();
        let joined = |parts: &[Part], trim: bool| -> String {
            parts.iter().filter_map(Part::text).map(|text| if trim { text.trim() } else { text }).collect()
        };
        let (content, parts) = match content {
            Content::Text(text) if images.is_empty() => (text, Vec::new()),
            Content::Text(text) => (text.clone(), placed(&text, images)),
            Content::Parts(parts) if role == types::Role::Tool => {
                let shown = parts.iter().filter(|part| part.media().is_some()).cloned().collect();
                (joined(&parts, false), shown)
            }
            Content::Parts(mut parts) => {
                parts.splice(0..0, images.into_iter().map(Part::Media));
                (joined(&parts, true), parts)
            }
        };
        let instructs = matches!(role, types::Role::System | types::Role::Developer);
        if instructs && parts.iter().any(|part| part.media().is_some()) {
            return Err(format!("a message of the {} has no place for pictures and sounds: give them in one of the user", role.name()));
        }
        Ok(types::Message { role, content, parts, thinking, tool_calls, tool_name, tool_call_id })
    }
}

/// Text, or a list of parts.
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

impl Default for Content {
    fn default() -> Self {
        Content::Text(String::new())
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Null => Ok(Content::default()),
            Value::String(text) => Ok(Content::Text(text)),
            Value::Array(parts) => {
                let parts = parts.iter().map(|part| parts_of(part).map_err(D::Error::custom)).collect::<Result<Vec<_>, _>>()?;
                Ok(Content::Parts(parts.concat()))
            }
            other => Err(D::Error::custom(format!("content is {}, but must be a text or a list of parts", kind(&other)))),
        }
    }
}

/// One part of a message's content; of a video its frames.
fn parts_of(part: &Value) -> Result<Vec<Part>, String> {
    let kind = match part {
        Value::String(text) => return Ok(vec![Part::Text(text.clone())]),
        part => part.get("type").and_then(Value::as_str).unwrap_or("text"),
    };
    let media = match kind {
        "text" | "input_text" | "output_text" => {
            let text = part.get("text").and_then(Value::as_str).ok_or("a part of the content has no `text`")?;
            return Ok(vec![Part::Text(text.to_owned())]);
        }
        "image" | "image_url" | "input_image" => MediaKind::Image,
        "audio" | "audio_url" | "input_audio" => MediaKind::Audio,
        "video" | "video_url" | "input_video" => MediaKind::Video,
        other => return Err(format!("a part of the content is of type `{other}`, but only texts, pictures and sounds are read")),
    };
    if media == MediaKind::Video
        && let Some(frames) = video::frames(part)?
    {
        return Ok(frames.into_iter().map(Part::Media).collect());
    }
    let size = size(part);
    let samples = part.get("samples").and_then(Value::as_u64).and_then(|samples| u32::try_from(samples).ok());
    // Where the source stands differs: under the type's own name, as `url` or `data`, or a level deeper.
    let names = [kind, "image_url", "image", "audio", "video", "url", "data", "path"];
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Object(inner) => ["url", "data"].iter().find_map(|name| inner.get(*name)?.as_str().map(str::to_owned)),
        _ => None,
    };
    let source = names.iter().find_map(|name| part.get(*name).and_then(text)).unwrap_or_default();
    // The models' own form, whose pictures come beside the messages, says no more than the type.
    let bare = matches!(kind, "image" | "audio" | "video") || size.is_some() || samples.is_some();
    if source.is_empty() && !bare {
        return Err(format!("a part of the content is of type `{kind}`, but has no data"));
    }
    Ok(vec![Part::Media(MediaPart { size, samples, ..MediaPart::new(media, source) })])
}

/// Width and height, where a part says them.
pub(super) fn size(part: &Value) -> Option<(u32, u32)> {
    let side = |name: &str| part.get(name).and_then(Value::as_u64).and_then(|side| u32::try_from(side).ok()).filter(|side| *side > 0);
    side("width").zip(side("height"))
}

#[derive(Deserialize)]
pub(super) struct ToolCall {
    id: Option<String>,
    function: Option<types::FunctionCall>,
    name: Option<String>,
    #[serde(default, deserialize_with = "arguments")]
    arguments: Map<String, Value>,
}

impl TryFrom<ToolCall> for types::ToolCall {
    type Error = String;

    fn try_from(call: ToolCall) -> Result<Self, String> {
        let ToolCall { id, function, name, arguments } = call;
        let function = match (function, name) {
            (Some(function), _) => function,
            (None, Some(name)) => types::FunctionCall { index: 0, name, arguments },
            (None, None) => return Err("a tool call has neither a `function` nor a `name`".to_owned()),
        };
        Ok(types::ToolCall { id, function })
    }
}

#[derive(Deserialize)]
pub(super) struct Tool {
    #[serde(rename = "type")]
    kind: Option<String>,
    function: Option<types::FunctionDeclaration>,
    name: Option<String>,
    description: Option<String>,
    parameters: Option<Map<String, Value>>,
    response: Option<Map<String, Value>>,
}

impl TryFrom<Tool> for types::Tool {
    type Error = String;

    fn try_from(tool: Tool) -> Result<Self, String> {
        let Tool { kind, function, name, description, parameters, response } = tool;
        let kind = kind.unwrap_or_else(|| "function".to_owned());
        let function = match (function, name) {
            (Some(function), _) => function,
            (None, Some(name)) => types::FunctionDeclaration {
                name,
                description: description.unwrap_or_default(),
                parameters: parameters.unwrap_or_default(),
                response: response.unwrap_or_default(),
            },
            (None, None) => return Err("a tool has neither a `function` nor a `name`".to_owned()),
        };
        Ok(types::Tool { kind, function })
    }
}

/// The arguments of a call: an object, text that is one, or nothing.
///
/// # Errors
/// What else they are.
pub(super) fn arguments<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(Map::new()),
        Value::Object(arguments) => Ok(arguments),
        Value::String(text) if text.trim().is_empty() => Ok(Map::new()),
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(Value::Object(arguments)) => Ok(arguments),
            Ok(other) => Err(D::Error::custom(format!("arguments are JSON text of {}, but must be an object", kind(&other)))),
            Err(error) => Err(D::Error::custom(format!("arguments must be an object or JSON text of one: {error} of that text"))),
        },
        other => Err(D::Error::custom(format!("arguments are {}, but must be an object", kind(&other)))),
    }
}

pub(super) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
