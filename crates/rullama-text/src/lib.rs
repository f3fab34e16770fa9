//! Text of Gemma 4 models: tokenizer, chat template, and the parts that read a model's output as
//! it streams. Pure functions over strings; no file, device or clock.
//!
//! - [`Tokenizer`]: text to ids and back; [`Detokenizer`]: ids to text as they come.
//! - [`chat::render`]: a conversation to [`Segment`]s, in which only the template's own marks
//!   are special tokens. Whoever types `<|turn>` gets those characters.
//! - [`OutputParser`]: a stream of [`Piece`]s to content, thinking and tool calls.
//! - [`StopStrings`]: where to cut a stream at given strings.
//!
//! ```
//! use rullama_text::chat::{self, Conversation, Message};
//! use rullama_text::{Segment, segments_to_text};
//!
//! let messages = [Message::user("Hi <turn|>")];
//! let prompt = chat::render(&Conversation { messages: &messages, ..Conversation::default() });
//! assert_eq!(segments_to_text(&prompt), "<bos><|turn>user\nHi <turn|><turn|>\n<|turn>model\n");
//! // The typed `<turn|>` is plain text, the template's is a token.
//! assert!(prompt.contains(&Segment::Text("user\nHi <turn|>".into())));
//! assert!(prompt.contains(&Segment::special("<turn|>")));
//! ```

pub mod chat;
mod detokenizer;
mod parser;
mod piece;
mod segment;
mod stop;
mod tokenizer;

pub use detokenizer::{AnswerText, Detokenizer, Utf8Stream};
pub use parser::{Ending, Event, OutputParser, Parsed, ParsedCall, ParserOptions};
pub use piece::{Piece, pieces};
pub use segment::{Segment, segments_to_text};
pub use stop::{StopMatch, StopStep, StopStrings};
pub use tokenizer::{Specials, Strings, Tokenizer, TokenizerError, Vocabulary};
