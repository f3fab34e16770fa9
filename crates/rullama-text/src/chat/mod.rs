//! Conversations and Gemma 4's chat template.
//!
//! The JSON forms are those of Ollama's chat API. Source of the template: Ollama
//! `model/renderers/gemma4.go`, which renders as the models' own Jinja templates do.

mod render;
mod schema;
mod types;

pub use render::{Conversation, Size, render};
pub use types::{FunctionCall, FunctionDeclaration, Message, Role, Tool, ToolCall};
