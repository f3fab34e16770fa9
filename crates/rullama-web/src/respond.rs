//! Answers to requests that bring all of their conversation along, as those of Ollama's API and OpenAI's do. The caches of the latest
//! conversations are kept, so that each goes on where it was.

use js_sys::Function;
use rullama::text::chat::{Conversation, Message, Tool};
use rullama::text::{Event, Segment, Specials};
use rullama::{Cancel, Fit, ForcedCall, Gallery, GenerateOptions, Piece, Pieces, Reason, Sessions, Token, TokenText, longest_piece};
use serde::Deserialize;
use serde_json::{Value, json};
use std::cell::{OnceCell, RefCell};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::engine::{WebEngine, call};
use crate::error::WebError;
use crate::options::{self, Generate};

/// Conversations whose caches are kept, and the bytes that those not in use may take on the GPU together.
const CONVERSATIONS: (usize, u64) = (4, 512 << 20);

/// What is asked: a conversation, a text with its special tokens, or ids.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Ask {
    messages: Vec<Value>,
    tools: Vec<Value>,
    thinking: bool,
    /// Leave out the oldest messages where the context is full.
    truncate: bool,
    /// The ids of a conversation that this one goes on.
    before: Vec<u32>,
    text: Option<String>,
    ids: Option<Vec<u32>>,
    /// End the answer behind its first tool call.
    one_call: bool,
    /// Names of tools, of which one must be called.
    forced: Option<Forced>,
    logit_bias: Vec<(u32, f32)>,
    /// Tokens of prompt and answer together, where that is less than the engine's.
    context: Option<u32>,
    options: Generate,
}

#[derive(Deserialize)]
struct Forced {
    names: Vec<String>,
    /// The answer ends behind the first call.
    once: bool,
}

/// What is kept from one request to the next.
#[derive(Default)]
pub struct Requests {
    sessions: RefCell<Option<Sessions>>,
    longest: OnceCell<usize>,
}

impl Requests {
    pub fn clear(&self) {
        let sessions = self.sessions.take();
        drop(sessions);
    }
}

#[wasm_bindgen]
impl WebEngine {
    /// Answers a request. `on_part` gets `{ begun: true }` once it is known that there will be an answer, then for each token
    /// `{ events, logprobs? }`; the result is `{ summary, reason, context }`. All of it is JSON text.
    pub async fn respond(&self, ask: String, on_part: Function) -> Result<String, JsValue> {
        let ask: Ask = options::parse("request", &ask)?;
        let messages = messages(&ask.messages)?;
        let engine = self.engine()?;
        // before the first await: a stop may come during each of them
        let cancel = self.fresh_cancel();
        let kept = self.requests.sessions.take();
        let mut sessions = kept.unwrap_or_else(|| Sessions::new(engine.clone(), CONVERSATIONS.0, CONVERSATIONS.1));
        let longest = *self.requests.longest.get_or_init(|| longest_piece(engine.tokenizer()));
        let gallery = self.gallery(&messages, &Gallery::default());
        let asked = Asked { ask: &ask, messages: &messages, gallery, longest };
        let result = answer(&mut sessions, asked, &cancel, &on_part).await;
        // Closed meanwhile, it is not kept.
        if self.engine().is_ok() {
            self.requests.sessions.replace(Some(sessions));
        }
        Ok(result?)
    }
}

/// A request, with what its messages show.
struct Asked<'a> {
    ask: &'a Ask,
    messages: &'a [Message],
    gallery: Gallery,
    longest: usize,
}

async fn answer(sessions: &mut Sessions, asked: Asked<'_>, cancel: &Cancel, on_part: &Function) -> Result<String, WebError> {
    let Asked { ask, messages, gallery, longest } = asked;
    let engine = sessions.engine().clone();
    let context = ask.context.map_or(engine.info().context, |asked| asked.min(engine.info().context));
    let mut options: GenerateOptions = ask.options.clone().into();
    options.sampling.logit_bias.clone_from(&ask.logit_bias);
    options.sampling.check()?;
    let fit = Fit { engine: &engine, context, longest, gallery };
    let tools = tools(&ask.tools)?;
    options.forced = ask.forced.as_ref().map(|forced| {
        let named = tools.iter().filter(|tool| forced.names.contains(&tool.function.name)).cloned();
        ForcedCall { tools: named.collect(), once: forced.once }
    });
    let asked = Conversation { messages, tools: &tools, thinking: ask.thinking, size: engine.template_size() };
    let mut kept = Vec::new();
    let prompt = match (&ask.text, &ask.ids) {
        (Some(text), _) => fit.prompt(vec![Segment::Template(text.clone())])?,
        (None, Some(ids)) => fit.known("prompt", ids)?.into(),
        (None, None) => {
            fit.known("context", &ask.before)?;
            let (prompt, fitting) = fit.conversation(&asked, &ask.before, ask.truncate)?;
            kept = fitting;
            prompt
        }
    };
    fit.leave_room(&prompt, &mut options)?;
    call(on_part, r#"{"begun":true}"#);
    let mut pieces = Pieces::new(&engine, cancel, ask.one_call);
    let mut give = |token: Option<&Token>, events| {
        if let Some(piece) = pieces.piece(token, events) {
            call(on_part, &piece_value(&piece).to_string());
        }
    };
    let summary = if ask.text.is_none() && ask.ids.is_none() {
        let chat = Conversation { messages: &kept, ..asked };
        sessions.answer(&chat, &prompt, &options, cancel, &mut give).await?
    } else {
        let mut on_token = |token: &Token| give(Some(token), vec![Event::Content(token.text.clone())]);
        sessions.generate_prompt(&prompt, Specials::Hide, &options, cancel, &mut on_token).await?
    };
    let reason = match pieces.reason(summary.finish) {
        Some(Reason::Stop) => "stop",
        Some(Reason::Length) => "length",
        Some(Reason::ToolCalls) => "tool_calls",
        None => "cancelled",
    };
    let context: Vec<u32> = prompt.ids().iter().chain(&summary.ids).copied().collect();
    Ok(options::to_json(&json!({ "summary": summary, "reason": reason, "context": context })))
}

/// The messages, whose media are names of what was perceived.
fn messages(list: &[Value]) -> Result<Vec<Message>, WebError> {
    let wrong = |i: usize, why: serde_json::Error| WebError::Argument { what: format!("`messages[{i}]` cannot be read: {why}.") };
    list.iter().enumerate().map(|(i, json)| serde_json::from_value(json.clone()).map_err(|error| wrong(i, error))).collect()
}

fn tools(list: &[Value]) -> Result<Vec<Tool>, WebError> {
    let wrong = |i: usize, why: serde_json::Error| WebError::Argument { what: format!("`tools[{i}]` cannot be read: {why}.") };
    list.iter().enumerate().map(|(i, json)| serde_json::from_value(json.clone()).map_err(|error| wrong(i, error))).collect()
}

/// A piece as `{ events, logprobs? }`.
fn piece_value(piece: &Piece) -> Value {
    let of = |token: &TokenText| json!({ "bytes": token.bytes, "logprob": token.logprob });
    let list = |tokens: &[TokenText]| tokens.iter().map(of).collect::<Vec<_>>();
    let logprobs = piece.logprobs.as_ref().map(|found| json!({ "chosen": of(&found.chosen), "top": list(&found.top) }));
    json!({ "events": piece.events.iter().map(options::event_value).collect::<Vec<_>>(), "logprobs": logprobs })
}
