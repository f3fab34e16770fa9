//! The models that are loaded: as many as fit, each as long as it is wanted.

use super::fit::longest_piece;
use super::work::{KeepAlive, Wanted};
use crate::load::LoadArguments;
use crate::media;
use crate::serve::api::Failure;
use rullama::{Cancel, Engine, Error, ErrorCode, LoadOptions, Sessions};
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

pub struct Resident {
    name: String,
    digest: String,
    /// The context that was asked for.
    context: Option<u32>,
    pub sessions: Sessions,
    /// As [`longest_piece`].
    pub longest: usize,
    expires: Option<Instant>,
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
    pub async fn get(&mut self, wanted: &Wanted, context: Option<u32>, cancel: &Cancel) -> Result<(&mut Resident, Duration), Failure> {
        let place = self.loaded.iter().position(|model| model.name == wanted.name);
        if let Some(place) = place {
            let model = self.loaded.remove(place);
            // With a context that was fixed when the program was started, another load would be no longer.
            let suffices = self.settings.load.fixed_context() || model.suffices(context);
            if model.digest == wanted.digest && suffices {
                return Ok((self.add(model), Duration::ZERO));
            }
        }
        let started = Instant::now();
        self.make_room(wanted.located.source.len());
        let mut engine = self.load(wanted, context, cancel).await;
        let full = engine.as_ref().is_err_and(|error| ErrorCode::from(error) == ErrorCode::OutOfMemory);
        if full && !self.loaded.is_empty() {
            self.loaded.clear();
            engine = self.load(wanted, context, cancel).await;
        }
        let engine = engine.map_err(|error| Failure::from(&error))?;
        wanted.located.note_template();
        let longest = longest_piece(engine.tokenizer());
        let sessions = Sessions::new(engine, CONVERSATIONS, CACHES);
        let (name, digest) = (wanted.name.clone(), wanted.digest.clone());
        Ok((self.add(Resident { name, digest, context, sessions, longest, expires: None }), started.elapsed()))
    }

    async fn load(&self, wanted: &Wanted, context: Option<u32>, cancel: &Cancel) -> Result<Engine, Error> {
        let options = self.settings.load.options(&wanted.located, None);
        let preferred_context = context.or(options.preferred_context);
        let options = LoadOptions { preferred_context, ..options };
        let engine = Engine::load_cancellable(wanted.located.source.clone(), options, cancel, &mut |_| ()).await?;
        engine.set_projector(media::stored_projector(&wanted.located)?).await;
        Ok(engine)
    }

    fn add(&mut self, model: Resident) -> &mut Resident {
        self.loaded.push(model);
        self.publish();
        let last = self.loaded.len() - 1;
        &mut self.loaded[last]
    }

    /// Unloads what was used longest ago until a model of `bytes` may come.
    fn make_room(&mut self, bytes: u64) {
        let most_bytes = self.settings.load.memory().unwrap_or(SHARED);
        let sum = |loaded: &[Resident]| loaded.iter().map(|model| model.sessions.engine().info().loaded_bytes).sum::<u64>();
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
            bytes: model.sessions.engine().memory().gpu,
            context: model.sessions.engine().info().context,
            expires: model.expires.and_then(|at| clock.checked_add(at.saturating_duration_since(now))),
        };
        let mut shown = self.running.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *shown = self.loaded.iter().map(running).collect();
    }
}

impl Resident {
    /// Whether no longer context can be had by loading anew.
    fn suffices(&self, context: Option<u32>) -> bool {
        let info = self.sessions.engine().info();
        let longest = info.context >= info.trained_context;
        context.is_none_or(|wanted| longest || wanted <= info.context || self.context.is_some_and(|asked| asked >= wanted))
    }
}
