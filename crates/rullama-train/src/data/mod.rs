//! Files of examples to token ids, with a mask of what is trained.
//!
//! A file is JSONL in UTF-8, an object a line, or one JSON list of such objects:
//!
//! - `messages`: a conversation as Ollama's and OpenAI's APIs have it, with `tools` (a list, or JSON text of one), calls
//!   with arguments as an object or JSON text, `thinking` or `reasoning_content`, content in parts. Trained are the
//!   model's turns, all of them; one with `weight` 0 is not. Before it counts a `system` text.
//! - `prompt` and `completion`, each a text or a list of messages; trained is what the model says in the completion.
//! - `text`: as it is. Special tokens in it are read; one beginning is put before it and an end behind it unless it
//!   has them. All of it is trained.
//!
//! Where several are there, the first of them is taken. Text within messages never becomes a special token. The
//! template is that of inference ([`rullama_text::chat::transcript`]): thoughts of earlier turns are left out, and thinking
//! is on where `chat_template_kwargs.enable_thinking` (or `enable_thinking`) says so, or else where an answer after the last
//! message of the user has thoughts. Longer examples are cut at their end. Lines that are no example are reported by
//! number with the reason, as are those that were cut.

mod encode;
mod error;
mod example;
mod line;
pub mod pack;
mod reader;
mod scan;
pub mod split;

pub use error::DataError;
pub use example::{Counts, Dataset, Example, LineReport, LossOn, Status};
pub use pack::{Packed, Row};
pub use reader::{DataLimits, DataOptions, Reader, read, read_str};
pub use split::{Split, epoch_order, split};
