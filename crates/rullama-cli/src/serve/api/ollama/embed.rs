//! `/api/embed`, and `/api/embeddings` as it was before: from a request to its answer.

use super::wire::Common;
use crate::serve::api::{EmbedWish, Failure, embed_input, value};
use rullama::Embeddings;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

#[derive(Deserialize)]
struct Embed {
    model: String,
    input: Option<Value>,
    dimensions: Option<u32>,
    /// What the texts are for; not Ollama's.
    prompt_name: Option<String>,
}

#[derive(Deserialize)]
struct Earlier {
    model: String,
    prompt: Option<String>,
    prompt_name: Option<String>,
}

/// Embeddings; times are nanoseconds.
#[derive(Serialize)]
pub struct Answer {
    model: String,
    embeddings: Vec<Vec<f32>>,
    total_duration: u128,
    load_duration: u128,
    prompt_eval_count: u64,
}

#[derive(Serialize)]
pub struct EarlierAnswer {
    embedding: Vec<f32>,
}

/// # Errors
/// What cannot be read, or cannot be had.
pub fn wish(request: &Value) -> Result<EmbedWish, Failure> {
    let Embed { model, input, dimensions, prompt_name } = value(request, "")?;
    let common: Common = value(request, "")?;
    let mut texts = embed_input(input, "input")?;
    // An empty text alone loads the model, as no text does.
    if texts.len() == 1 && texts[0].is_empty() {
        texts.clear();
    }
    EmbedWish::new(model, texts, (dimensions, prompt_name, common.truncate.unwrap_or(true)), common.keep_alive()?)
}

/// # Errors
/// What cannot be read, or cannot be had.
pub fn earlier(request: &Value) -> Result<EmbedWish, Failure> {
    let Earlier { model, prompt, prompt_name } = value(request, "")?;
    let common: Common = value(request, "")?;
    let texts = prompt.into_iter().filter(|text| !text.is_empty()).collect();
    EmbedWish::new(model, texts, (None, prompt_name, true), common.keep_alive()?)
}

impl Answer {
    pub fn new(model: String, found: Embeddings, (total, load): (Duration, Duration)) -> Self {
        let prompt_eval_count = found.tokens.iter().map(|tokens| u64::from(*tokens)).sum();
        let (total_duration, load_duration) = (total.as_nanos(), load.as_nanos());
        Answer { model, embeddings: found.vectors, total_duration, load_duration, prompt_eval_count }
    }
}

impl EarlierAnswer {
    pub fn new(found: Embeddings) -> Self {
        EarlierAnswer { embedding: found.vectors.into_iter().next().unwrap_or_default() }
    }
}
