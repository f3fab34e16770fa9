//! The thread that runs models. Requests come to it in a queue, and it answers them one after the other.

mod answer;
mod embed;
mod models;
mod work;

pub use models::{Running, Settings};
pub use work::{
    AnswerFormat, Ask, Conversation, Done, EmbedAsk, Ended, KeepAlive, Logprobs, Part, Piece, Prompt, Reason, Task, TokenText, Wanted,
    Work, context_of,
};

use crate::serve::api::Failure;
use anyhow::{Context, Result};
use axum::http::StatusCode;
use models::Models;
use rullama::queue::{Queue, Ticket, Turn};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// The asking side of the thread.
pub struct Host {
    queue: Queue<Work>,
    running: Arc<Mutex<Vec<Running>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What comes of a request; dropped, it stops the request.
pub struct Answer {
    _ticket: Ticket<Work>,
    parts: UnboundedReceiver<Part>,
}

impl Answer {
    /// The next part. Behind [`Part::Done`] and [`Part::Failed`] there is none.
    pub async fn next(&mut self) -> Part {
        let ended = || Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the server is ending. Ask again when it has been started anew.");
        self.parts.recv().await.unwrap_or_else(|| Part::Failed(ended()))
    }
}

impl Host {
    /// Starts the thread; `waiting` requests may wait for it.
    ///
    /// # Errors
    /// A system that gives no thread.
    pub fn start(settings: Settings, waiting: usize) -> Result<Host> {
        let (queue, running) = (Queue::new(waiting), Arc::new(Mutex::new(Vec::new())));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().context("the engine cannot start")?;
        let (closing, shown) = (Closing(queue.clone()), Arc::clone(&running));
        let thread = std::thread::Builder::new().name("models".to_owned()).spawn(move || {
            runtime.block_on(serve(&closing.0, Models::new(settings, shown)));
        });
        let thread = Mutex::new(Some(thread.context("the engine's thread cannot start")?));
        Ok(Host { queue, running, thread })
    }

    /// Puts a request into the queue.
    ///
    /// # Errors
    /// A full queue.
    pub fn ask(&self, wanted: Wanted, keep_alive: Option<KeepAlive>, task: Task) -> Result<Answer, Failure> {
        let (out, parts) = unbounded_channel();
        let ticket = self.queue.push(Work { wanted, keep_alive, task, out, asked: Instant::now() })?;
        Ok(Answer { _ticket: ticket, parts })
    }

    /// The models that are loaded.
    pub fn running(&self) -> Vec<Running> {
        self.running.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Stops every request and waits up to `patience` for the thread: a program that leaves should find none in a driver's code.
    pub fn stop(&self, patience: Duration) {
        self.queue.close();
        let thread = self.thread.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        let Some(thread) = thread else { return };
        let until = Instant::now() + patience;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
}

/// Closes the queue when the thread ends, however it ends: nobody waits for one that is gone.
struct Closing(Queue<Work>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Answers until the queue is closed; lets models go when their time is over.
async fn serve(queue: &Queue<Work>, mut models: Models) {
    loop {
        let turn = match models.next_expiry() {
            None => queue.next().await,
            Some(at) => match tokio::time::timeout_at(at.into(), queue.next()).await {
                Ok(turn) => turn,
                Err(_) => {
                    models.sweep();
                    continue;
                }
            },
        };
        let Some(turn) = turn else { return };
        one(&mut models, &turn).await;
    }
}

async fn one(models: &mut Models, turn: &Turn<Work>) {
    let work = &turn.work;
    let name = &work.wanted.name;
    let result = match &work.task {
        Task::Unload => {
            models.unload(name);
            Ok(Done { answer: None, waited: work.asked.elapsed(), load: Duration::ZERO })
        }
        Task::Load { context } => load_only(models, turn, *context).await,
        Task::Answer(ask) => answer::answer(models, turn, ask).await,
        Task::Embed(ask) => embed::embed(models, turn, ask).await,
    };
    if !matches!(work.task, Task::Unload) {
        models.release(name, work.keep_alive);
    }
    let last = result.map_or_else(Part::Failed, |done| Part::Done(Box::new(done)));
    // Nobody listens any more: the request was stopped.
    let _ = work.out.send(last);
}

async fn load_only(models: &mut Models, turn: &Turn<Work>, context: Option<u32>) -> Result<Done, Failure> {
    let waited = turn.work.asked.elapsed();
    let (_, load) = models.get(&turn.work.wanted, context, &turn.cancel).await?;
    Ok(Done { answer: None, waited, load })
}
