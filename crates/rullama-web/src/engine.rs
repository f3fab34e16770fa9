use std::cell::RefCell;

use js_sys::{Float32Array, Function, Object, Uint32Array};
use rullama::MemoryReport;
use rullama::text::{
    Tokenizer,
    chat::{Conversation, Role, render},
    segments_to_text,
};
use rullama::{
    Cancel, Chat, Embedder, Engine, EngineAdapter, ExpertMode, GenerateOptions, GpuError, LoadOptions, ModelInfo, PleMode, Progress,
    Session, Summary, Token,
};
use serde_json::json;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::{
    error::WebError,
    js,
    kept::Kept,
    media,
    options::{self, Generate, Load, WebMessage},
    respond::Requests,
    source,
};

/// Bytes of a WebAssembly page.
const PAGE: f64 = 65536.0;

/// A loaded model and its chats. Values cross the border as JSON text, as the package's `engine.ts` declares it.
#[wasm_bindgen]
pub struct WebEngine {
    held: RefCell<Option<Held>>,
    pub(crate) chats: Kept<Chat>,
    pub(crate) adapters: Kept<EngineAdapter>,
    #[cfg(feature = "train")]
    pub(crate) tuners: Kept<crate::tune::Tuner>,
    pub(crate) shown: media::Shown,
    /// For ids without a conversation: one, kept since a session's recordings are worth it.
    plain: Kept<Session>,
    plain_number: u32,
    pub(crate) requests: Requests,
    /// Of the answer in progress.
    cancel: RefCell<Cancel>,
    /// Size of the memory before the load.
    start_bytes: f64,
    /// The adapter in the browser's words.
    adapter_name: String,
}

/// What was loaded: a model that answers, or one that makes embeddings.
#[derive(Clone)]
pub(crate) enum Held {
    Engine(Engine),
    Embedder(Embedder),
}

impl Held {
    pub(crate) fn info(&self) -> &ModelInfo {
        match self {
            Held::Engine(engine) => engine.info(),
            Held::Embedder(embedder) => embedder.info(),
        }
    }

    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        match self {
            Held::Engine(engine) => engine.tokenizer(),
            Held::Embedder(embedder) => embedder.tokenizer(),
        }
    }

    fn memory(&self) -> MemoryReport {
        match self {
            Held::Engine(engine) => engine.memory(),
            Held::Embedder(embedder) => embedder.memory(),
        }
    }
}

#[wasm_bindgen]
impl WebEngine {
    /// Loads `{ url, keep }` or `{ blob, name }`, with another such source as its drafter where one is given.
    pub async fn load(source: JsValue, options: String, on_progress: Function, drafter: JsValue) -> Result<WebEngine, JsValue> {
        std::panic::set_hook(Box::new(|info| js::report(&info.to_string())));
        let start_bytes = memory_bytes();
        let options: Load = options::parse("load options", &options)?;
        let held = load((&source, &drafter), &options, on_progress).await?;
        let plain = Kept::default();
        Ok(WebEngine {
            held: RefCell::new(Some(held)),
            chats: Kept::default(),
            adapters: Kept::default(),
            #[cfg(feature = "train")]
            tuners: Kept::default(),
            shown: media::Shown::default(),
            plain_number: plain.reserve(),
            plain,
            requests: Requests::default(),
            cancel: RefCell::default(),
            start_bytes,
            adapter_name: options.adapter_name,
        })
    }

    pub fn info(&self) -> Result<String, JsValue> {
        let mut info = self.held()?.info().clone();
        // wgpu does not ask the browser for it.
        if info.device.is_empty() {
            info.device.clone_from(&self.adapter_name);
        }
        Ok(options::to_json(&info))
    }

    pub fn memory(&self) -> Result<String, JsValue> {
        let report = self.held()?.memory();
        let memory = json!({
            "wasmBytes": memory_bytes(),
            "wasmStartBytes": self.start_bytes,
            "gpuBytes": report.gpu,
            "tokenizerBytes": report.tokenizer,
        });
        Ok(memory.to_string())
    }

    pub fn tokenize(&self, text: &str) -> Result<Vec<u32>, JsValue> {
        Ok(self.held()?.tokenizer().encode_plain(text))
    }

    pub fn render(&self, conversation: &str) -> Result<String, JsValue> {
        let engine = self.engine()?;
        let chat: options::Chat = options::parse("conversation", conversation)?;
        let messages = chat.all_messages();
        let size = engine.template_size();
        let mut segments = render(&Conversation { messages: &messages, tools: &chat.tools, thinking: chat.thinking, size });
        media::count(&mut segments, &chat.soft);
        let ids = engine.tokenizer().encode_prompt(&segments).map_err(rullama::Error::from).map_err(WebError::from)?;
        Ok(json!({ "prompt": segments_to_text(&segments), "ids": ids }).to_string())
    }

    pub async fn chat_open(&self, options: String) -> Result<u32, JsValue> {
        let chat: options::Chat = options::parse("chat options", &options)?;
        let engine = self.engine()?;
        // before the await: a close may come during it
        let number = self.chats.reserve();
        let session = engine.session().await;
        self.keep_chat(number, session.map(|session| Chat::new(session, chat.into())))
    }

    pub fn chat_close(&self, chat: u32) {
        self.chats.remove(chat);
    }

    /// Adds messages and answers. When that fails, the conversation is as before.
    pub async fn chat_send(&self, chat: u32, messages: String, options: String, on_event: Function) -> Result<String, JsValue> {
        let new: Vec<WebMessage> = options::parse("messages", &messages)?;
        let options = options::parse::<Generate>("options", &options)?.into();
        let mut open = self.take(chat)?;
        let before = open.messages().to_vec();
        open.set_messages(before.iter().cloned().chain(new.into_iter().map(Into::into)).collect());
        self.arrange(&mut open);
        let result = self.answer(&mut open, &options, &on_event).await;
        if result.is_err() {
            open.set_messages(before);
        }
        self.chats.put_back(chat, open);
        result.map_err(JsValue::from)
    }

    /// Drops the latest answer and answers once more. When that fails, the conversation is as before.
    pub async fn chat_retry(&self, chat: u32, options: String, on_event: Function) -> Result<String, JsValue> {
        let options = options::parse::<Generate>("options", &options)?.into();
        let mut open = self.take(chat)?;
        let before = open.messages().to_vec();
        let mut messages = before.clone();
        while messages.last().is_some_and(|message| message.role == Role::Assistant) {
            messages.pop();
        }
        open.set_messages(messages);
        let result = self.answer(&mut open, &options, &on_event).await;
        if result.is_err() {
            open.set_messages(before);
        }
        self.chats.put_back(chat, open);
        result.map_err(JsValue::from)
    }

    /// Goes on with the last answer, which was cut. When that fails, it is as before.
    pub async fn chat_continue(&self, chat: u32, options: String, on_event: Function) -> Result<String, JsValue> {
        let options = options::parse::<Generate>("options", &options)?.into();
        let mut open = self.take(chat)?;
        let cancel = self.fresh_cancel();
        let mut give = |event: &rullama::Event| call(&on_event, &options::event(event));
        open.on_prefill(watcher(&on_event));
        let result = open.continue_answer(&options, &cancel, &mut give).await;
        open.on_prefill(None);
        self.chats.put_back(chat, open);
        Ok(options::to_json(&result.map_err(WebError::from)?))
    }

    /// Puts other messages in place of the conversation's, without the system's; caches are kept as far as they agree.
    pub fn chat_set(&self, chat: u32, messages: String) -> Result<(), JsValue> {
        let new: Vec<WebMessage> = options::parse("messages", &messages)?;
        let mut open = self.take(chat)?;
        open.rewrite(new.into_iter().map(Into::into));
        self.arrange(&mut open);
        self.chats.put_back(chat, open);
        Ok(())
    }

    /// Generates from ids on a sequence of its own, with adapters `[{ adapter, scale }]`; `media` names what stands for placeholders.
    pub async fn generate_ids(
        &self,
        ids: Vec<u32>,
        options: String,
        adapters: String,
        media: String,
        on_token: Function,
    ) -> Result<String, JsValue> {
        let options = options::parse::<Generate>("options", &options)?.into();
        let prompt = self.prompt(ids, &media)?;
        // before the first await: a stop may come during each of them
        let cancel = self.fresh_cancel();
        let mut session = self.plain_session(&adapters).await?;
        let mut give = |token: &Token| call(&on_token, &options::to_json(token));
        let summary = session.generate_prompt(&prompt, &options, &cancel, &mut give).await;
        self.plain.put_back(self.plain_number, session);
        Ok(options::to_json(&summary.map_err(WebError::from)?))
    }

    /// Logits and hidden states of ids as `Float32Array`s by name, for comparison with other programs.
    pub async fn evaluate(&self, ids: Vec<u32>, adapters: String, media: String) -> Result<Object, JsValue> {
        let prompt = self.prompt(ids, &media)?;
        let mut session = self.plain_session(&adapters).await?;
        let evaluation = session.evaluate_prompt(&prompt, &Cancel::new()).await;
        self.plain.put_back(self.plain_number, session);
        let evaluation = evaluation.map_err(WebError::from)?;
        let matrices = evaluation.matrices.iter();
        let arrays: Vec<_> = matrices.map(|(name, values)| (name.as_str(), Float32Array::from(&values[..]).into())).collect();
        Ok(js::object(&arrays))
    }

    /// `{ vectors, tokens, truncated }` of texts: the vectors one after the other, the tokens of each text, the places of those cut.
    pub async fn embed(&self, texts: String, options: String) -> Result<Object, JsValue> {
        let texts: Vec<String> = options::parse("texts", &texts)?;
        let options = options::parse::<options::Embed>("options", &options)?.engine()?;
        let Held::Embedder(embedder) = self.held()? else {
            let what = "The model makes no embeddings. Load EmbeddingGemma for them.".to_owned();
            return Err(WebError::Argument { what }.into());
        };
        let cancel = self.fresh_cancel();
        let found = embedder.embed(&texts, &options, &cancel).await.map_err(WebError::from)?;
        let places: Vec<u32> = found.truncated.iter().map(|place| *place as u32).collect();
        Ok(js::object(&[
            ("vectors", Float32Array::from(&found.vectors.concat()[..]).into()),
            ("tokens", Uint32Array::from(&found.tokens[..]).into()),
            ("truncated", Uint32Array::from(&places[..]).into()),
        ]))
    }

    /// Stops the answer in progress after the tokens that are in flight.
    pub fn cancel(&self) {
        self.cancel.borrow().cancel();
    }

    /// Gives the model back. Work that is still going on ends first.
    pub fn close(&self) {
        self.cancel();
        self.chats.clear();
        self.plain.clear();
        self.requests.clear();
        self.adapters.clear();
        self.shown.clear();
        #[cfg(feature = "train")]
        self.tuners.clear();
        self.held.borrow_mut().take();
    }
}

impl WebEngine {
    pub(crate) fn held(&self) -> Result<Held, WebError> {
        self.held.borrow().clone().ok_or(WebError::Argument { what: "The model was closed.".to_owned() })
    }

    pub(crate) fn engine(&self) -> Result<Engine, WebError> {
        match self.held()? {
            Held::Engine(engine) => Ok(engine),
            Held::Embedder(_) => Err(WebError::Argument {
                what: "The model makes embeddings and answers nothing. Call `embed`, or load a Gemma 4 model.".to_owned(),
            }),
        }
    }

    pub(crate) fn take(&self, chat: u32) -> Result<Chat, WebError> {
        let missing = || WebError::Argument { what: format!("Chat {chat} is closed or busy.") };
        self.chats.take(chat).ok_or_else(missing)
    }

    /// Keeps a conversation under the number that was reserved for it.
    pub(crate) fn keep_chat(&self, number: u32, made: Result<Chat, rullama::Error>) -> Result<u32, JsValue> {
        let mut chat = match made {
            Ok(chat) => chat,
            Err(error) => {
                self.chats.remove(number);
                return Err(WebError::from(error).into());
            }
        };
        self.arrange(&mut chat);
        if !self.chats.put_back(number, chat) {
            // Closed meanwhile, which this says.
            self.engine()?;
        }
        Ok(number)
    }

    /// The session without a conversation, empty, with adapters `[{ adapter, scale }]`.
    async fn plain_session(&self, adapters: &str) -> Result<Session, JsValue> {
        let adapters = self.attached(adapters)?;
        let kept = self.plain.take(self.plain_number);
        let mut session = match kept {
            Some(session) => session,
            None => self.engine()?.session().await.map_err(WebError::from)?,
        };
        session.clear();
        match session.set_adapters(&adapters) {
            Ok(()) => Ok(session),
            Err(error) => {
                self.plain.put_back(self.plain_number, session);
                Err(WebError::from(error).into())
            }
        }
    }

    pub(crate) fn fresh_cancel(&self) -> Cancel {
        let cancel = Cancel::new();
        self.cancel.replace(cancel.clone());
        cancel
    }

    async fn answer(&self, chat: &mut Chat, options: &GenerateOptions, on_event: &Function) -> Result<String, WebError> {
        let cancel = self.fresh_cancel();
        let mut give = |event: &rullama::Event| call(on_event, &options::event(event));
        chat.on_prefill(watcher(on_event));
        let summary: Result<Summary, _> = chat.answer(options, &cancel, &mut give).await;
        chat.on_prefill(None);
        Ok(options::to_json(&summary?))
    }
}

/// Opens the source and loads it. Where an address has per-layer rows or experts that do not fit on the GPU, they are
/// streamed from a stored copy; a copy that is still arriving is not waited for.
async fn load((js_source, drafter): (&JsValue, &JsValue), options: &Load, on_progress: Function) -> Result<Held, WebError> {
    let mut progress = |progress: Progress| call(&on_progress, &progress_json(progress));
    let by_rows = options.ple == PleMode::Streamed || options.experts == ExpertMode::Streamed;
    let mut reading = source::Reading { store: options.store, by_rows, may_arrive: options.ple != PleMode::Resident };
    let opened = source::open(js_source, reading).await?;
    let remote = opened.bytes.locality() == rullama::source::Locality::Remote;
    let (ple, experts) = (options.ple == PleMode::Auto, options.experts == ExpertMode::Auto);
    let drafter = match drafter.is_undefined() {
        true => None,
        false => Some(source::open(drafter, source::Reading { store: options.store, by_rows: false, may_arrive: false }).await?.bytes),
    };
    let mut engine_options = LoadOptions { drafter: drafter.clone(), ..options.engine() };
    if opened.arriving && ple {
        engine_options.ple = PleMode::Streamed;
    }
    let first = Engine::load(opened.bytes.clone(), engine_options, &mut progress).await;
    if first.as_ref().is_err_and(rullama::Error::is_encoder) {
        let embedder = Embedder::load(opened.bytes.clone(), options.engine(), &Cancel::new(), &mut progress).await;
        opened.loaded();
        return Ok(Held::Embedder(embedder?));
    }
    opened.loaded();
    let too_large = matches!(&first, Err(rullama::Error::Gpu(GpuError::OutOfMemory { .. }) | rullama::Error::RemoteBudget { .. }));
    if !(too_large && remote && (ple || experts) && options.store == source::Store::Auto) {
        return Ok(Held::Engine(first?));
    }
    reading.by_rows = true;
    let bytes = source::open(js_source, reading).await?.bytes;
    let mut options = LoadOptions { drafter, ..options.engine() };
    options.ple = if ple { PleMode::Streamed } else { options.ple };
    options.experts = if experts { ExpertMode::Streamed } else { options.experts };
    Ok(Held::Engine(Engine::load(bytes, options, &mut progress).await?))
}

/// Tells `{ type: 'prefill', done, total }` as a prompt is read.
fn watcher(on_event: &Function) -> Option<Box<dyn rullama::OnPrefill>> {
    let tell = on_event.clone();
    let told = move |at: rullama::Prefill| call(&tell, &json!({ "type": "prefill", "done": at.done, "total": at.total }).to_string());
    Some(Box::new(told))
}

fn progress_json(progress: Progress) -> String {
    let (phase, done, total) = match progress {
        Progress::Header => ("header", 0, 0),
        Progress::Weights { done, total } => ("weights", done, total),
        Progress::SelfTest => ("self-test", 0, 0),
        Progress::Ready => ("ready", 0, 0),
    };
    json!({ "phase": phase, "done": done, "total": total }).to_string()
}

pub(crate) fn call(function: &Function, json: &str) {
    // A callback that throws has nobody to tell.
    let _ = function.call1(&JsValue::NULL, &json.into());
}

/// Bytes of the module's memory, which only grows.
fn memory_bytes() -> f64 {
    core::arch::wasm32::memory_size(0) as f64 * PAGE
}
