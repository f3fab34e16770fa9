//! What the models' thread is asked, and what it gives.

use crate::model::Located;
use crate::serve::api::Failure;
use rullama::{EmbedOptions, Embeddings, ForcedCall, Format, Message, Summary, Tool};
pub use rullama::{Logprobs, Piece, Reason, TokenText};
use rullama_source::ollama::Params;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// How long a model stays loaded after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAlive {
    For(Duration),
    Forever,
}

/// A model that a request names.
pub struct Wanted {
    /// As the store spells it.
    pub name: String,
    /// SHA-256 of the manifest: another one is another model under the same name.
    pub digest: String,
    pub located: Located,
}

/// A request.
pub struct Work {
    pub wanted: Wanted,
    pub keep_alive: Option<KeepAlive>,
    pub task: Task,
    pub out: UnboundedSender<Part>,
    pub asked: Instant,
}

pub enum Task {
    /// With at least so many tokens of context.
    Load {
        context: Option<u32>,
    },
    Unload,
    Answer(Box<Ask>),
    Embed(Box<EmbedAsk>),
}

/// Texts whose embeddings are wanted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct EmbedAsk {
    pub texts: Vec<String>,
    pub options: EmbedOptions,
}

/// The tokens of `num_ctx`; 0 and less leave it to the model.
pub fn context_of(num_ctx: Option<i64>) -> Option<u32> {
    num_ctx.filter(|n| *n > 0).map(|n| u32::try_from(n).unwrap_or(u32::MAX))
}

/// What is to be answered, and how.
#[derive(Default)]
pub struct Ask {
    pub prompt: Prompt,
    /// The request's own; what it leaves out is the model's.
    pub params: Params,
    pub logit_bias: Vec<(u32, f32)>,
    /// As [`rullama::GenerateOptions::logprobs`].
    pub logprobs: Option<u32>,
    /// End the answer behind its first tool call.
    pub one_call: bool,
    /// The call that it must have.
    pub forced: Option<ForcedCall>,
    /// What the answer's content is to be.
    pub format: Option<AnswerFormat>,
}

/// A format, and the request's field that asks for it.
#[derive(Debug)]
pub struct AnswerFormat {
    pub format: Format,
    pub field: &'static str,
}

pub enum Prompt {
    Chat(Conversation),
    /// A prompt that its author has rendered; special tokens are recognised in it.
    Raw(String),
    Ids(Vec<u32>),
}

impl Default for Prompt {
    fn default() -> Self {
        Prompt::Ids(Vec::new())
    }
}

/// A conversation as the request has it, without what the model's own system prompt and messages add.
#[derive(Default)]
pub struct Conversation {
    pub messages: Vec<Message>,
    pub tools: Vec<Tool>,
    pub thinking: bool,
    /// Leave out the oldest messages where the context is full.
    pub truncate: bool,
    /// The ids of a conversation that this one goes on.
    pub before: Vec<u32>,
}

/// A part of what is given.
pub enum Part {
    /// The model is loaded and the prompt is one that it can answer.
    Begun,
    Piece(Piece),
    Embedded(Embeddings),
    Done(Box<Done>),
    Failed(Failure),
}

/// An answer's end.
pub struct Done {
    /// None where nothing was to be answered.
    pub answer: Option<Ended>,
    /// What waiting for its turn took.
    pub waited: Duration,
    pub load: Duration,
}

pub struct Ended {
    pub summary: Summary,
    pub reason: Reason,
    /// Prompt and answer, for a request that goes on.
    pub context: Vec<u32>,
}
