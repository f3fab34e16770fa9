//! Ollama's API and OpenAI's, on the models of this machine.
//!
//! Both are thin: a request becomes a [`Task`] of the [`Host`], and the parts that come of it are written in the form of the API.
//! What a request asks for and cannot have is refused by its name; fields that are not known are ignored, as by the originals.

mod catalog;
mod embed;
mod failure;
pub mod format;
mod names;
pub mod ollama;
pub mod openai;
mod parts;
mod read;

pub use catalog::{Catalog, Entry};
pub use embed::{Wish as EmbedWish, embedded, input as embed_input};
pub use failure::{Failure, Form};
pub use names::{call_id, now, rfc3339, token, unique};
pub use parts::{Collected, Format, OfContent, begin, collect, in_json, streamed};
pub use read::{Bodies, body, message, value};

use crate::sampling;
use crate::serve::host::{Answer, Ask, Host, KeepAlive, Task, Wanted};
use axum::http::StatusCode;
use rullama::Error;
use rullama_source::ollama::Params;
use std::path::PathBuf;
use std::time::Duration;

/// Longest time for looking into the store: a disk may hang.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most log-probabilities beside a token's own.
const MOST_LOGPROBS: u32 = 20;

/// Bytes of the longest name that a model can have.
const LONGEST_NAME: usize = 1000;
/// Most stop strings, and bytes of each: every token is compared with all of them.
const STOPS: (usize, usize) = (64, 1024);

/// What the APIs stand on.
pub struct Api {
    pub host: Host,
    pub roots: Vec<PathBuf>,
    pub bodies: Bodies,
}

impl Api {
    /// The model of a request.
    ///
    /// # Errors
    /// What is wrong with the name or the model.
    pub async fn wanted(&self, name: &str) -> Result<Wanted, Failure> {
        if name.is_empty() {
            return Err(Failure::field("model", "is empty, but must name a model. `rullama list` has the names."));
        }
        if name.len() > LONGEST_NAME {
            return Err(Failure::field("model", "is too long for a name. `rullama list` has the names."));
        }
        let (roots, asked) = (self.roots.clone(), name.to_owned());
        on_disk(move || catalog::wanted(&asked, &roots).map_err(|error| Failure::of_model(&asked, &error))).await?
    }

    /// The models that there are.
    ///
    /// # Errors
    /// A disk that does not answer.
    pub async fn catalog(&self) -> Result<Catalog, Failure> {
        let roots = self.roots.clone();
        on_disk(move || Catalog::read(&roots)).await
    }

    /// Puts a request into the queue.
    ///
    /// # Errors
    /// An unknown model; a full queue.
    pub async fn ask(&self, model: &str, keep_alive: Option<KeepAlive>, task: Task) -> Result<Answer, Failure> {
        self.host.ask(self.wanted(model).await?, keep_alive, task)
    }

    /// As [`ask`](Self::ask), for an answer, once it is known that it can be given.
    ///
    /// # Errors
    /// As [`ask`](Self::ask); a model that cannot be loaded; a prompt that is too long.
    pub async fn begun(&self, model: &str, keep_alive: Option<KeepAlive>, ask: Ask) -> Result<Answer, Failure> {
        let mut answer = self.ask(model, keep_alive, Task::Answer(Box::new(ask))).await?;
        begin(&mut answer).await?;
        Ok(answer)
    }
}

/// Runs what reads files, apart from what serves connections.
pub async fn on_disk<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let failed = |why: &str| Failure::new(StatusCode::SERVICE_UNAVAILABLE, format!("the models' folder {why}. Check its disk."));
    let read = tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(read)).await;
    read.map_err(|_| failed("does not answer"))?.map_err(|_| failed("cannot be read"))
}

/// Refuses parameters that cannot be sampled with; `prefix` stands before their names in the request.
///
/// # Errors
/// With the field's name.
pub fn check(params: &Params, prefix: &str) -> Result<(), Failure> {
    let (most, longest) = STOPS;
    if params.stop.len() > most || params.stop.iter().any(|stop| stop.len() > longest) {
        return Err(Failure::field(format!("{prefix}stop"), format!("may list at most {most} texts of at most {longest} bytes each.")));
    }
    match sampling::of_params(params.clone()).sampling.check() {
        Err(Error::InvalidArgument { name, value, reason }) => {
            Err(Failure::field(format!("{prefix}{name}"), format!("is {value}, which {reason}.")))
        }
        Err(error) => Err(Failure::from(&error)),
        Ok(()) => Ok(()),
    }
}

/// The engine's number of log-probabilities for `logprobs` and `top_logprobs`.
///
/// # Errors
/// More than there can be.
pub fn logprobs(wanted: Option<bool>, top: Option<u32>) -> Result<Option<u32>, Failure> {
    let top = top.unwrap_or(0);
    match wanted.unwrap_or(false) {
        _ if top > MOST_LOGPROBS => Err(Failure::field("top_logprobs", format!("is {top}, but may be at most {MOST_LOGPROBS}."))),
        false if top > 0 => Err(Failure::field("top_logprobs", "needs `logprobs` to be true.")),
        wanted => Ok(wanted.then_some(top)),
    }
}
