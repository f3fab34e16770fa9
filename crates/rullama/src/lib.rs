//! Gemma 4 on the GPU, natively and in browsers: load, chat, generate, evaluate.
//!
//! ```no_run
//! use rullama::{Cancel, Chat, ChatOptions, Engine, Event, GenerateOptions, LoadOptions, Message};
//! use rullama::source::FileSource;
//! use std::sync::Arc;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let source = Arc::new(FileSource::open("gemma-4-e2b.gguf")?);
//! let engine = Engine::load(source, LoadOptions::default(), &mut |_| ()).await?;
//! let mut chat = Chat::new(engine.session().await?, ChatOptions::default());
//! let mut print = |event: &Event| {
//!     if let Event::Content(text) = event { print!("{text}") }
//! };
//! chat.send(Message::user("Why is the sky blue?"), &GenerateOptions::default(), &Cancel::new(), &mut print).await?;
//! # Ok(())
//! # }
//! ```

// Whether towers may be shared among threads is asked of every type of wgpu's that they hold.
#![recursion_limit = "256"]

mod adapters;
mod ahead;
mod chat;
mod checks;
mod code;
mod cost;
mod decode;
mod drafting;
mod embed;
mod engine;
mod error;
mod eval;
mod fit;
mod forced;
mod format;
mod format_tokens;
mod gallery;
mod locate;
mod media;
mod options;
mod pieces;
mod plans;
mod profile;
mod progress;
mod prompt;
pub mod queue;
mod residency;
mod resident;
mod runner;
mod saved;
pub mod score;
mod sequence;
mod session;
mod sessions;
mod settings;
mod speculation;
mod vocabulary;
mod words;

pub use adapters::{EngineAdapter, MAX_ADAPTER_SCALE};
pub use chat::{Chat, ChatOptions};
pub use code::ErrorCode;
pub use cost::Extent;
pub use embed::{EmbedOptions, EmbedPrompt, Embedder, Embeddings};
pub use engine::{DEFAULT_CONTEXT, Engine, MemoryReport, ModelInfo, Progress};
pub use error::Error;
pub use eval::Evaluation;
pub use fit::{Fit, is_system, longest_piece};
pub use forced::ForcedCall;
pub use format::{Follow, Format, Formats};
pub use format_tokens::FormatTokens;
pub use gallery::{Gallery, sense_of};
pub use media::{Medium, Perceived, SoftTokens};
pub use options::{
    Cancel, ExpertMode, GenerateOptions, LoadOptions, PENALTIES, Persistent, PleMode, REPEAT_PENALTIES, Sampling, Speculate,
};
pub use pieces::{Logprobs, Piece, Pieces, Reason, TokenText};
pub use profile::{MediumProfile, StepProfile};
pub use progress::{OnPrefill, Prefill};
pub use prompt::{Prompt, placeholder_runs};
pub use rullama_adapter as adapter;
pub use rullama_gpu::{AdapterProfile, Device, GpuError, KernelTime, OpenOptions};
pub use rullama_media::{self as perception, Picture, SizeRule, Sound};
pub use rullama_model::Loaded;
pub use rullama_model::experts::ExpertStats;
pub use rullama_model::products::{Measurements, Products};
pub use rullama_model::rows::RowStats;
pub use rullama_model::tower::Sense;
pub use rullama_ops::KvType;
pub use rullama_source as source;
pub use rullama_text::chat::{Frame, MediaKind, MediaPart, Message, Role, Tool, ToolCall};
pub use rullama_text::{self as text, Event};
pub use runner::cache_shape;
pub use session::{Finish, Session, Summary, Timings, Token};
pub use sessions::Sessions;
pub use vocabulary::tokenizer;
