//! What the TypeScript package writes, as the engine takes it, and what the engine says, as the package reads it.

use rullama::text::chat::{FunctionCall, Message, Tool};
use rullama::{
    AdapterProfile, ChatOptions, EmbedOptions, EmbedPrompt, ExpertMode, Format, GenerateOptions, KvType, LoadOptions, Persistent, PleMode,
    Products, Sampling, Speculate,
};
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
    Q8,
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
    pub experts: ExpertMode,
    pub kv: Kv,
    pub products: Products,
    pub persistent: Option<Persistent>,
    pub speculate: Speculate,
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
            experts: self.experts,
            kv: match self.kv {
                Kv::F16 => KvType::F16,
                Kv::F32 => KvType::F32,
                Kv::Q8 => KvType::Q8,
            },
            products: self.products,
            // Chromium binds fewer buffers than it needs.
            persistent: self.persistent.unwrap_or(Persistent::Off),
            speculate: self.speculate,
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
    format: Option<Format>,
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
        let Generate { max_tokens, stop, ignore_eos, logprobs, format, .. } = options;
        GenerateOptions { sampling, max_tokens, stop, ignore_eos, logprobs, format, forced: None }
    }
}

/// How texts become embeddings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Embed {
    prompt: Option<String>,
    dims: Option<u32>,
    truncate: Option<bool>,
}

impl Embed {
    pub fn engine(self) -> Result<EmbedOptions, WebError> {
        let prompt = self.prompt.as_deref().map_or(Ok(EmbedPrompt::None), EmbedPrompt::named)?;
        Ok(EmbedOptions { prompt, dims: self.dims, truncate: self.truncate.unwrap_or(true) })
    }
}

/// A conversation: what a chat starts from.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chat {
    pub system: Option<String>,
    pub tools: Vec<Tool>,
    pub thinking: bool,
    pub messages: Vec<WebMessage>,
    /// Soft tokens of the media that messages name.
    pub soft: std::collections::HashMap<String, u32>,
}

impl Chat {
    /// The messages with the system's in front.
    pub fn all_messages(&self) -> Vec<Message> {
        let system = self.system.iter().map(Message::system);
        system.chain(self.messages.iter().cloned().map(Into::into)).collect()
    }
}

impl From<Chat> for ChatOptions {
    fn from(chat: Chat) -> Self {
        let messages = chat.messages.into_iter().map(Into::into).collect();
        ChatOptions { system: chat.system, tools: chat.tools, thinking: chat.thinking, messages }
    }
}

/// A message as the package's types have it, or as OpenAI's API does.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct WebMessage(Message);

/// The package's names and those of [`Message`]'s JSON form.
const FIELDS: [(&str, &str); 11] = [
    ("role", "role"),
    ("content", "content"),
    ("images", "images"),
    ("thinking", "thinking"),
    ("toolCalls", "tool_calls"),
    ("name", "name"),
    ("toolCallId", "tool_call_id"),
    ("tool_calls", "tool_calls"),
    ("tool_call_id", "tool_call_id"),
    ("reasoning", "reasoning"),
    ("reasoning_content", "reasoning_content"),
];

/// What OpenAI's answers have besides, of which a prompt says nothing.
const SKIPPED: [&str; 4] = ["refusal", "annotations", "audio", "function_call"];

impl TryFrom<Map<String, Value>> for WebMessage {
    type Error = String;

    fn try_from(fields: Map<String, Value>) -> Result<Self, String> {
        let mut message = Map::new();
        for (key, value) in fields {
            match FIELDS.iter().find(|(name, _)| *name == key) {
                Some((_, name)) => drop(message.insert((*name).to_owned(), value)),
                None if SKIPPED.contains(&key.as_str()) => {}
                None => {
                    let known: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
                    return Err(format!("a message has no field `{key}`; there are {}", known.join(", ")));
                }
            }
        }
        let mut message: Message = serde_json::from_value(message.into()).map_err(|error| error.to_string())?;
        message.tool_calls.iter_mut().enumerate().for_each(|(index, call)| call.function.index = index);
        Ok(WebMessage(message))
    }
}

impl From<WebMessage> for Message {
    fn from(message: WebMessage) -> Self {
        message.0
    }
}

/// A part of an answer as JSON text.
pub fn event(event: &rullama::Event) -> String {
    event_value(event).to_string()
}

pub fn event_value(event: &rullama::Event) -> Value {
    match event {
        rullama::Event::Content(text) => json!({ "type": "content", "text": text }),
        rullama::Event::UnreadableCall(text) => json!({ "type": "unreadableCall", "text": text }),
        rullama::Event::Thinking(text) => json!({ "type": "thinking", "text": text }),
        rullama::Event::ToolCall(call) => {
            let FunctionCall { name, arguments, .. } = &call.function;
            json!({ "type": "toolCall", "call": { "name": name, "arguments": arguments } })
        }
    }
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

/// A name in JavaScript's case.
pub fn camel(key: &str) -> String {
    let mut words = key.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, tail) = word.split_at(word.len().min(1));
        name + &head.to_ascii_uppercase() + tail
    })
}

/// A name in Rust's case.
#[cfg(feature = "train")]
pub fn snake(key: &str) -> String {
    let one = |c: char| if c.is_ascii_uppercase() { format!("_{}", c.to_ascii_lowercase()) } else { c.to_string() };
    key.chars().map(one).collect()
}
