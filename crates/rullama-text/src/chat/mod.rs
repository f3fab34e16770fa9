//! Conversations and Gemma 4's chat template.
//!
//! The JSON forms are those of Ollama's chat API and of OpenAI's. Source of the template: the models' own
//! (Jinja, of 2026-07-09); where that has no rule, Ollama's `model/renderers/gemma4.go`.

mod json;
mod media;
mod render;
mod schema;
mod transcript;
mod types;
mod video;

pub use media::{Frame, MediaKind, MediaPart, Part, expand, media};
pub use render::{Conversation, Size, render, render_cut};
pub(crate) use render::{cut_answer, opens_thought};
pub use transcript::{Passage, transcript};
pub use types::{FunctionCall, FunctionDeclaration, Message, Role, Tool, ToolCall};
