//! The models that are loaded: as many as fit, each as long as it is wanted.

use super::work::{KeepAlive, Wanted};
use crate::load::LoadArguments;
use crate::media;
use crate::serve::api::Failure;
use rullama::{Cancel, Embedder, Engine, Error, ErrorCode, LoadOptions, Sessions, longest_piece};
use rullama_model::ModelError;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

/// Conversations of a model whose caches are kept.
const CONVERSATIONS: usize = 4;
/// Bytes that the caches of those that wait may take.
const CACHES: u64 = 2 << 30;
/// Bytes of weights up to which models are kept beside each other, where `--memory` says nothing.
const SHARED: u64 = 6 << 30;

/// How models are loaded and kept.
#[derive(Clone)]
pub struct Settings {
    pub load: LoadArguments,
    pub keep_alive: KeepAlive,
    /// Most models at a time.
    pub most: usize,
}

/// A loaded model, for those who ask what is loaded.
#[derive(Debug, Clone)]
pub struct Running {
    pub name: String,
    pub digest: String,
    /// Bytes on the GPU.
    pub bytes: u64,
    pub context: u32,
    /// `None`: it stays.
    pub expires: Option<SystemTime>,
}

struct Resident {
    name: String,
    digest: String,
    holds: Holds,
    expires: Option<Instant>,
}

/// What a loaded model is for.
enum Holds {
    Chat(Box<Chat>),
    Embedder(Embedder),
}

/// A model that answers.
pub struct Chat {
    /// The context that was asked for.
    context: Option<u32>,
    pub sessions: Sessions,
    /// As [`longest_piece`].
    pub longest: usize,
}

pub struct Models {
    /// The least recently used first.
    loaded: Vec<Resident>,
    settings: Settings,
    running: Arc<Mutex<Vec<Running>>>,
}

impl Models {
    pub fn new(settings: Settings, running: Arc<Mutex<Vec<Running>>>) -> Self {
        Models { loaded: Vec::new(), settings, running }
    }

    /// The model, loaded if it is not, with at least `context` tokens as far as it has them; and how long loading took.
    ///
    /// # Errors
    /// What is wrong with the model or the adapter.
    pub async fn get(&mut self, wanted: &Wanted, context: Option<u32>, cancel: &Cancel) -> Result<(&mut Chat, Duration), Failure> {
        // With a context that was fixed when the program was started, another load would be no longer.
        let fixed = self.settings.load.fixed_context();
        let suffices = |holds: &Holds| match holds {
            Holds::Chat(chat) => fixed || chat.suffices(context),
            Holds::Embedder(_) => true,
        };
        let mut took = Duration::ZERO;
        if !self.known(wanted, suffices) {
            let options = self.settings.load.options(&wanted.located, None).map_err(|error| Failure::of_model(&wanted.name, &error))?;
            let preferred_context = context.or(options.preferred_context);
            let options = LoadOptions { preferred_context, ..options };
            let load = async || Engine::load_cancellable(wanted.located.source.clone(), options.clone(), cancel, &mut |_| ()).await;
            let (engine, time) = self.load(wanted, load).await?;
            engine.set_projector(media::stored_projector(&wanted.located).map_err(|error| Failure::from(&Error::from(error)))?).await;
            took = time;
            wanted.located.note_template();
            let longest = longest_piece(engine.tokenizer());
            let sessions = Sessions::new(engine, CONVERSATIONS, CACHES);
            self.add(wanted, Holds::Chat(Box::new(Chat { context, sessions, longest })));
        }
        match self.loaded.last_mut().map(|model| &mut model.holds) {
            Some(Holds::Chat(chat)) => Ok((chat, took)),
            _ => Err(Failure::from(&Error::Model(ModelError::IsEncoder { found: wanted.name.clone() }))),
        }
    }

    /// The same for a model that makes embeddings.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn embedder(&mut self, wanted: &Wanted, cancel: &Cancel) -> Result<(Embedder, Duration), Failure> {
        let mut took = Duration::ZERO;
        if !self.known(wanted, |_| true) {
            // The server's context is that of conversations.
            let options = LoadOptions {
                context: None,
                ..self.settings.load.options(&wanted.located, None).map_err(|error| Failure::of_model(&wanted.name, &error))?
            };
            let load = async || Embedder::load(wanted.located.source.clone(), options.clone(), cancel, &mut |_| ()).await;
            let (embedder, time) = self.load(wanted, load).await?;
            took = time;
            self.add(wanted, Holds::Embedder(embedder));
        }
        match self.loaded.last().map(|model| &model.holds) {
            Some(Holds::Embedder(embedder)) => Ok((embedder.clone(), took)),
            _ => Err(Failure::from(&Error::Model(ModelError::NoEncoder { found: wanted.name.clone() }))),
        }
    }

    /// Whether the model is loaded and suffices: then it is the last. One that does not goes.
    fn known(&mut self, wanted: &Wanted, suffices: impl Fn(&Holds) -> bool) -> bool {
        let Some(place) = self.loaded.iter().position(|model| model.name == wanted.name) else { return false };
        let model = self.loaded.remove(place);
        let known = model.digest == wanted.digest && suffices(&model.holds);
        if known {
            self.loaded.push(model);
        }
        self.publish();
        known
    }

    /// Loads beside the others, or alone where there is no room; and how long it took.
    async fn load<T>(&mut self, wanted: &Wanted, load: impl AsyncFn() -> Result<T, Error>) -> Result<(T, Duration), Failure> {
        let started = Instant::now();
        self.make_room(wanted.located.source.len());
        let mut loaded = load().await;
        let full = loaded.as_ref().is_err_and(|error| ErrorCode::from(error) == ErrorCode::OutOfMemory);
        if full && !self.loaded.is_empty() {
            self.loaded.clear();
            loaded = load().await;
        }
        Ok((loaded.map_err(|error| Failure::from(&error))?, started.elapsed()))
    }

    fn add(&mut self, wanted: &Wanted, holds: Holds) {
        self.loaded.push(Resident { name: wanted.name.clone(), digest: wanted.digest.clone(), holds, expires: None });
        self.publish();
    }

    /// Unloads what was used longest ago until a model of `bytes` may come.
    fn make_room(&mut self, bytes: u64) {
        let most_bytes = self.settings.load.memory().unwrap_or(SHARED);
        let sum = |loaded: &[Resident]| loaded.iter().map(|model| model.holds.weights()).sum::<u64>();
        while !self.loaded.is_empty() && (self.loaded.len() >= self.settings.most || sum(&self.loaded).saturating_add(bytes) > most_bytes) {
            self.loaded.remove(0);
        }
        self.publish();
    }

    /// Lets a model go after `keep_alive`, or after the usual time.
    pub fn release(&mut self, name: &str, keep_alive: Option<KeepAlive>) {
        match keep_alive.unwrap_or(self.settings.keep_alive) {
            KeepAlive::For(Duration::ZERO) => return self.unload(name),
            KeepAlive::For(time) => self.expire(name, Instant::now().checked_add(time)),
            KeepAlive::Forever => self.expire(name, None),
        }
        self.publish();
    }

    fn expire(&mut self, name: &str, at: Option<Instant>) {
        self.loaded.iter_mut().filter(|model| model.name == name).for_each(|model| model.expires = at);
    }

    pub fn unload(&mut self, name: &str) {
        self.loaded.retain(|model| model.name != name);
        self.publish();
    }

    /// When the next model's time is over.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.loaded.iter().filter_map(|model| model.expires).min()
    }

    /// Unloads the models whose time is over.
    pub fn sweep(&mut self) {
        let now = Instant::now();
        self.loaded.retain(|model| model.expires.is_none_or(|at| at > now));
        self.publish();
    }

    fn publish(&self) {
        let (now, clock) = (Instant::now(), SystemTime::now());
        let running = |model: &Resident| Running {
            name: model.name.clone(),
            digest: model.digest.clone(),
            bytes: model.holds.bytes(),
            context: model.holds.context(),
            expires: model.expires.and_then(|at| clock.checked_add(at.saturating_duration_since(now))),
        };
        let mut shown = self.running.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *shown = self.loaded.iter().map(running).collect();
    }
}

impl Holds {
    /// Bytes of weights.
    fn weights(&self) -> u64 {
        match self {
            Holds::Chat(chat) => chat.sessions.engine().info().loaded_bytes,
            Holds::Embedder(embedder) => embedder.info().loaded_bytes,
        }
    }

    /// Bytes on the GPU.
    fn bytes(&self) -> u64 {
        match self {
            Holds::Chat(chat) => chat.sessions.engine().memory().gpu,
            Holds::Embedder(embedder) => embedder.device().allocated(),
        }
    }

    fn context(&self) -> u32 {
        match self {
            Holds::Chat(chat) => chat.sessions.engine().info().context,
            Holds::Embedder(embedder) => embedder.info().context,
        }
    }
}

impl Chat {
    /// Whether no longer context can be had by loading anew.
    fn suffices(&self, context: Option<u32>) -> bool {
        let info = self.sessions.engine().info();
        let longest = info.context >= info.trained_context;
        context.is_none_or(|wanted| longest || wanted <= info.context || self.context.is_some_and(|asked| asked >= wanted))
    }
}
