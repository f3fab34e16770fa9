//! Ollama's API: `/api/...`.

mod answers;
mod chat;
mod embed;
mod generate;
mod models;
mod show;
mod wire;

pub use wire::keep_alive;

use super::{Api, Failure, Form, begin, body, collect, embedded, in_json, on_disk, streamed, value};
use crate::serve::host::{KeepAlive, Task, context_of};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The version of Ollama whose API this is: programs look at it to know what they may ask.
const LEVEL: &str = "0.13.0";

#[derive(Serialize)]
struct Version {
    version: &'static str,
    /// This program's own.
    rullama: &'static str,
}

type Reply = Result<Response, Problem>;

/// A failure in the form of this API.
struct Problem(Failure);

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Problem(failure)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.0.respond(Form::Ollama)
    }
}

/// The addresses below `/api`.
pub fn router() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/chat", post(chat))
        .route("/api/generate", post(generate))
        .route("/api/tags", get(tags))
        .route("/api/show", post(show))
        .route("/api/ps", get(running))
        .route("/api/version", get(|| async { in_json(&Version { version: LEVEL, rullama: env!("CARGO_PKG_VERSION") }) }))
        .route("/api/embed", post(embed))
        .route("/api/embeddings", post(embeddings))
        .route("/api/pull", any(|| async { store("pulled", "pull") }))
        .route("/api/push", any(|| async { store("pushed", "push") }))
        .route("/api/create", any(|| async { store("created", "create") }))
        .route("/api/copy", any(|| async { store("copied", "cp") }))
        .route("/api/delete", any(|| async { store("deleted", "rm") }))
        .route("/api/blobs/{digest}", any(|| async { store("created", "create") }))
        .route("/api/{*path}", any(unknown))
}

async fn unknown(request: Request) -> Problem {
    let message = format!("there is no {} {}. docs/api.md lists what is answered.", request.method(), request.uri().path());
    Problem(Failure::new(StatusCode::NOT_FOUND, message))
}

/// What changes the store is left to Ollama.
fn store(what: &str, command: &str) -> Problem {
    let message =
        format!("models are not {what} here: this server only reads the store. Run `ollama {command}`; what it does shows here at once.");
    Problem(Failure::missing(message))
}

async fn embed(State(api): State<Arc<Api>>, request: Request) -> Reply {
    let asked = Instant::now();
    let wish = embed::wish(&body(&api.bodies, request).await?)?;
    let model = wish.model.clone();
    let (found, load) = embedded(&api, wish).await?;
    Ok(in_json(&embed::Answer::new(model, found, (asked.elapsed(), load))))
}

async fn embeddings(State(api): State<Arc<Api>>, request: Request) -> Reply {
    let wish = embed::earlier(&body(&api.bodies, request).await?)?;
    let (found, _) = embedded(&api, wish).await?;
    Ok(in_json(&embed::EarlierAnswer::new(found)))
}

async fn chat(State(api): State<Arc<Api>>, request: Request) -> Reply {
    // Its JSON is gone before anything is waited for.
    let wish = chat::wish(&body(&api.bodies, request).await?)?;
    grant(&api, wish).await
}

async fn generate(State(api): State<Arc<Api>>, request: Request) -> Reply {
    let wish = generate::wish(&body(&api.bodies, request).await?)?;
    grant(&api, wish).await
}

async fn grant(api: &Api, wish: chat::Wish) -> Reply {
    let chat::Wish { ask, empty, keep_alive, model, stream, mut record } = wish;
    if empty {
        return Ok(load(api, &model, keep_alive, ask.params.num_ctx, record).await?);
    }
    let answer = api.begun(&model, keep_alive, ask).await?;
    if stream {
        return Ok(streamed(answer, record));
    }
    let (collected, ended, done) = collect(answer).await?;
    Ok(in_json(&record.whole(collected, &ended, &done)))
}

/// A request without anything to answer: loads the model, or lets it go.
async fn load(
    api: &Api,
    model: &str,
    keep_alive: Option<KeepAlive>,
    context: Option<i64>,
    record: answers::Record,
) -> Result<Response, Failure> {
    let unload = keep_alive == Some(KeepAlive::For(Duration::ZERO));
    let task = if unload { Task::Unload } else { Task::Load { context: context_of(context) } };
    let mut answer = api.ask(model, keep_alive, task).await?;
    begin(&mut answer).await?;
    Ok(in_json(&record.nothing(if unload { "unload" } else { "load" })))
}

async fn tags(State(api): State<Arc<Api>>) -> Reply {
    Ok(in_json(&models::tags(&api.catalog().await?)))
}

async fn running(State(api): State<Arc<Api>>) -> Reply {
    let catalog = api.catalog().await?;
    Ok(in_json(&models::running(&api.host.running(), &catalog)))
}

async fn show(State(api): State<Arc<Api>>, request: Request) -> Reply {
    let asked: wire::Show = value(&body(&api.bodies, request).await?, "")?;
    let verbose = asked.verbose.unwrap_or(false);
    let model = asked.model.or(asked.name).unwrap_or_default();
    let catalog = api.catalog().await?;
    let wanted = api.wanted(&model).await?;
    let entry = catalog.0.into_iter().find(|entry| entry.name == wanted.name);
    let shown = on_disk(move || show::show(&wanted, entry.as_ref(), verbose)).await?;
    Ok(in_json(&shown.map_err(|error| Failure::of_model(&model, &error))?))
}
