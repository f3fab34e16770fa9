use super::json;
use super::media::{MediaPart, Part};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Who speaks. Unknown names pass through to the template.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Role {
    System,
    /// As the first message, the same as `System`.
    Developer,
    #[default]
    User,
    /// Called `model` in the prompt.
    Assistant,
    Tool,
    Other(String),
}

impl Role {
    /// The name in the JSON form.
    pub fn name(&self) -> &str {
        match self {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
            Role::Other(name) => name,
        }
    }
}

impl From<String> for Role {
    fn from(name: String) -> Self {
        match name.to_lowercase().as_str() {
            "system" => Role::System,
            "developer" => Role::Developer,
            "user" => Role::User,
            "assistant" | "model" => Role::Assistant,
            "tool" => Role::Tool,
            other => Role::Other(other.to_string()),
        }
    }
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        role.name().to_string()
    }
}

/// One message of a conversation.
///
/// The JSON form is Ollama's. OpenAI's is read, too: content in parts, the arguments of calls as JSON text,
/// `name` for `tool_name`, `reasoning_content` (or `reasoning`) for `thinking`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "json::Message")]
pub struct Message {
    pub role: Role,
    pub content: String,
    /// The content where it came in several parts, which the template joins in its own way; then `content`
    /// has no say in the prompt.
    #[serde(skip_serializing)]
    pub parts: Vec<Part>,
    /// What an assistant thought before it answered.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub thinking: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// In a tool's message: whose result it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_name: Option<String>,
    /// In a tool's message: which call it answers; goes before `tool_name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

impl Message {
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Message { role, content: content.into(), ..Message::default() }
    }

    pub fn system(content: impl Into<String>) -> Self {
        Message::new(Role::System, content)
    }

    pub fn user(content: impl Into<String>) -> Self {
        Message::new(Role::User, content)
    }

    pub fn assistant(content: impl Into<String>) -> Self {
        Message::new(Role::Assistant, content)
    }

    /// A user's text, with pictures and sounds before it.
    pub fn showing(media: impl IntoIterator<Item = MediaPart>, content: impl Into<String>) -> Self {
        let message = Message::user(content);
        let parts = media.into_iter().map(Part::Media).chain([Part::Text(message.content.clone())]).collect();
        Message { parts, ..message }
    }

    /// The pictures and sounds in it.
    pub fn media(&self) -> impl Iterator<Item = &MediaPart> {
        self.parts.iter().filter_map(Part::media)
    }

    /// The result of a tool.
    pub fn tool(name: impl Into<String>, content: impl Into<String>) -> Self {
        Message { tool_name: Some(name.into()), ..Message::new(Role::Tool, content) }
    }
}

/// A model's request to run a tool. In JSON the function's members may also stand in its place.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "json::ToolCall")]
pub struct ToolCall {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub function: FunctionCall,
}

/// Name and arguments of a tool call.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FunctionCall {
    /// Number of the call within one answer, from 0.
    #[serde(default)]
    pub index: usize,
    pub name: String,
    /// In JSON an object, or text that is one.
    #[serde(default, deserialize_with = "json::arguments")]
    pub arguments: Map<String, Value>,
}

/// A tool that the model may call. In JSON the function's members may also stand in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "json::Tool")]
pub struct Tool {
    #[serde(rename = "type")]
    pub kind: String,
    pub function: FunctionDeclaration,
}

/// What a tool does and takes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FunctionDeclaration {
    pub name: String,
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub description: String,
    /// JSON schema of the arguments: `type`, `properties`, `required`.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub parameters: Map<String, Value>,
    /// JSON schema of the result: `description`, `type`.
    #[serde(default, deserialize_with = "json::null_is_default", skip_serializing_if = "Map::is_empty")]
    pub response: Map<String, Value>,
}
