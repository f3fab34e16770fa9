//! OpenAI's API: `/v1/...`.

mod answers;
mod chat;
mod choice;
mod completions;
mod embed;
mod events;
mod input;
mod items;
mod models;
mod records;
mod responses;
mod wire;

use super::{Api, Failure, Form, body, collect, embedded, in_json, streamed};
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use serde_json::Value;
use std::sync::Arc;

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
        self.0.respond(Form::OpenAi)
    }
}

/// The addresses below `/v1`.
pub fn router() -> Router<Arc<Api>> {
    Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/completions", post(completions))
        .route("/v1/responses", post(responses))
        .route("/v1/models", get(models))
        .route("/v1/models/{*id}", get(model))
        .route("/v1/embeddings", post(embeddings))
        .route("/v1/{*path}", any(unknown))
}

async fn unknown(request: Request) -> Problem {
    let message = format!("there is no {} {}. docs/api.md lists what is answered.", request.method(), request.uri().path());
    Problem(Failure::new(StatusCode::NOT_FOUND, message))
}

/// What a request asks for. Its JSON is gone before anything is waited for.
async fn read<T>(api: &Api, request: Request, wish: fn(&Value) -> Result<T, Failure>) -> Result<T, Failure> {
    let json = body(&api.bodies, request).await?;
    wish(&json)
}

async fn chat(State(api): State<Arc<Api>>, request: Request) -> Reply {
    let chat::Wish { model, ask, stream, mut record } = read(&api, request, chat::wish).await?;
    let answer = api.begun(&model, None, ask).await?;
    if stream {
        return Ok(streamed(answer, record));
    }
    let (collected, ended, _) = collect(answer).await?;
    Ok(in_json(&record.whole(collected, &ended)))
}

async fn completions(State(api): State<Arc<Api>>, request: Request) -> Reply {
    let completions::Wish { model, ask, stream, mut record } = read(&api, request, completions::wish).await?;
    let answer = api.begun(&model, None, ask).await?;
    if stream {
        return Ok(streamed(answer, record));
    }
    let (collected, ended, _) = collect(answer).await?;
    Ok(in_json(&record.whole(collected, &ended)))
}

async fn responses(State(api): State<Arc<Api>>, request: Request) -> Reply {
    let responses::Wish { model, ask, stream, mut record } = read(&api, request, responses::wish).await?;
    let answer = api.begun(&model, None, ask).await?;
    if stream {
        return Ok(streamed(answer, record));
    }
    let (collected, ended, _) = collect(answer).await?;
    Ok(in_json(&record.whole(collected, &ended)))
}

async fn embeddings(State(api): State<Arc<Api>>, request: Request) -> Reply {
    let (wish, encoding) = read(&api, request, embed::wish).await?;
    let model = wish.model.clone();
    let (found, _) = embedded(&api, wish).await?;
    Ok(in_json(&embed::Answer::new(model, found, encoding)))
}

async fn models(State(api): State<Arc<Api>>) -> Reply {
    Ok(in_json(&models::list(&api.catalog().await?)))
}

async fn model(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Reply {
    let (wanted, catalog) = (api.wanted(&id).await?, api.catalog().await?);
    let entry = catalog.0.iter().find(|entry| entry.name == wanted.name);
    let gone = || Failure::new(StatusCode::NOT_FOUND, format!("model '{id}' not found."));
    Ok(in_json(&models::one(entry.ok_or_else(gone)?)))
}
