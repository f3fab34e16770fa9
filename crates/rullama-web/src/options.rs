//! What the TypeScript package writes, as the engine takes it, and what the engine says, as the package reads it.

use rullama::text::chat::{FunctionCall, FunctionDeclaration, Message, Role, Tool, ToolCall};
use rullama::{AdapterProfile, GenerateOptions, KvType, LoadOptions, PleMode, Sampling};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{error::WebError, source::Store};

/// Reads JSON text; `what` names it in the error.
pub fn parse<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, WebError> {
    serde_json::from_str(text).map_err(|error| WebError::Argument { what: format!("The {what} cannot be read: {error}.") })
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kv {
    #[default]
    F16,
    F32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adapter {
    #[default]
    Native,
    WebgpuDefaults,
}

/// Options of a load, and what the device was granted.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Load {
    pub ple: PleMode,
    pub kv: Kv,
    pub context: Option<u32>,
    pub memory_budget: Option<u64>,
    pub adapter: Adapter,
    pub store: Store,
    /// The device gets the `subgroups` feature, of which wgpu does not know.
    pub subgroups: bool,
    /// What the browser calls the adapter.
    pub adapter_name: String,
}

impl Load {
    pub fn engine(&self) -> LoadOptions {
        LoadOptions {
            ple: self.ple,
            kv: if self.kv == Kv::F16 { KvType::F16 } else { KvType::F32 },
            context: self.context,
            memory_budget: self.memory_budget,
            profile: if self.adapter == Adapter::Native { AdapterProfile::Native } else { AdapterProfile::WebGpuDefaults },
            browser_subgroups: self.subgroups,
            ..LoadOptions::default()
        }
    }
}

/// Options of an answer; what is missing is the engine's default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Generate {
    temperature: Option<f32>,
    top_k: Option<u32>,
    top_p: Option<f32>,
    min_p: Option<f32>,
    repeat_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    repeat_last_n: Option<u32>,
    seed: Option<u64>,
    max_tokens: Option<u32>,
    stop: Vec<String>,
    ignore_eos: bool,
    logprobs: Option<u32>,
}

impl From<Generate> for GenerateOptions {
    fn from(options: Generate) -> Self {
        let default = Sampling::default();
        let sampling = Sampling {
            temperature: options.temperature.unwrap_or(default.temperature),
            top_k: options.top_k.unwrap_or(default.top_k),
            top_p: options.top_p.unwrap_or(default.top_p),
            min_p: options.min_p.unwrap_or(default.min_p),
            repeat_penalty: options.repeat_penalty.unwrap_or(default.repeat_penalty),
            presence_penalty: options.presence_penalty.unwrap_or(default.presence_penalty),
            frequency_penalty: options.frequency_penalty.unwrap_or(default.frequency_penalty),
            repeat_last_n: options.repeat_last_n.unwrap_or(default.repeat_last_n),
            seed: options.seed,
            ..default
        };
        let Generate { max_tokens, stop, ignore_eos, logprobs, .. } = options;
        GenerateOptions { sampling, max_tokens, stop, ignore_eos, logprobs }
    }
}

/// A conversation: what a chat starts from.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chat {
    pub system: Option<String>,
    pub tools: Vec<WebTool>,
    pub thinking: bool,
    pub messages: Vec<WebMessage>,
}

impl Chat {
    /// The messages with the system's in front.
    pub fn all_messages(&self) -> Vec<Message> {
        let system = self.system.iter().map(Message::system);
        system.chain(self.messages.iter().cloned().map(Into::into)).collect()
    }

    pub fn tools(&self) -> Vec<Tool> {
        self.tools.iter().cloned().map(Into::into).collect()
    }
}

#[derive(Debug, Clone, Deserialize)]
pub struct WebTool {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Map<String, Value>,
}

impl From<WebTool> for Tool {
    fn from(WebTool { name, description, parameters }: WebTool) -> Self {
        Tool { kind: "function".to_owned(), function: FunctionDeclaration { name, description, parameters } }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebMessage {
    role: Role,
    #[serde(default)]
    content: String,
    #[serde(default)]
    thinking: String,
    #[serde(default)]
    tool_calls: Vec<WebCall>,
    /// Of a tool's message: which tool answers.
    #[serde(default)]
    name: Option<String>,
}

impl From<WebMessage> for Message {
    fn from(message: WebMessage) -> Self {
        let WebMessage { role, content, thinking, tool_calls, name } = message;
        let tool_calls = tool_calls.into_iter().enumerate().map(|(index, call)| call.at(index)).collect();
        Message { role, content, thinking, tool_calls, tool_name: name, tool_call_id: None }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WebCall {
    pub name: String,
    #[serde(default)]
    pub arguments: Map<String, Value>,
}

impl WebCall {
    fn at(self, index: usize) -> ToolCall {
        let WebCall { name, arguments } = self;
        ToolCall { id: None, function: FunctionCall { index, name, arguments } }
    }
}

/// A part of an answer as JSON text. What cannot be read as a tool call is shown as content.
pub fn event(event: &rullama::Event) -> String {
    let value = match event {
        rullama::Event::Content(text) | rullama::Event::InvalidToolCall(text) => json!({ "type": "content", "text": text }),
        rullama::Event::Thinking(text) => json!({ "type": "thinking", "text": text }),
        rullama::Event::ToolCall(call) => {
            let FunctionCall { name, arguments, .. } = &call.function;
            json!({ "type": "toolCall", "call": { "name": name, "arguments": arguments } })
        }
    };
    value.to_string()
}

/// A value of fixed shape as JSON text, its keys in JavaScript's case.
pub fn to_json(value: &impl Serialize) -> String {
    serde_json::to_value(value).map(camel_case).unwrap_or_default().to_string()
}

fn camel_case(value: Value) -> Value {
    match value {
        Value::Object(map) => map.into_iter().map(|(key, value)| (camel(&key), camel_case(value))).collect(),
        other => other,
    }
}

fn camel(key: &str) -> String {
    let mut words = key.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, tail) = word.split_at(word.len().min(1));
        name + &head.to_ascii_uppercase() + tail
    })
}
