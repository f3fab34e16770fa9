//! `/v1/embeddings`: from a request to its answer.

use crate::serve::api::{EmbedWish, Failure, embed_input, value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rullama::Embeddings;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize)]
struct Request {
    model: String,
    input: Option<Value>,
    dimensions: Option<u32>,
    encoding_format: Option<String>,
    /// What the texts are for, and whether those that are too long are cut; not OpenAI's.
    prompt_name: Option<String>,
    truncate: Option<bool>,
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Float,
    /// Little-endian f32 in base64.
    Base64,
}

#[derive(Serialize)]
pub struct Answer {
    object: &'static str,
    data: Vec<Item>,
    model: String,
    usage: Usage,
}

#[derive(Serialize)]
struct Item {
    object: &'static str,
    embedding: Vector,
    index: usize,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    Float(Vec<f32>),
    Base64(String),
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
}

/// # Errors
/// What cannot be read, or cannot be had.
pub fn wish(request: &Value) -> Result<(EmbedWish, Encoding), Failure> {
    let Request { model, input, dimensions, encoding_format, prompt_name, truncate } = value(request, "")?;
    let encoding = match encoding_format.as_deref() {
        None | Some("float") => Encoding::Float,
        Some("base64") => Encoding::Base64,
        Some(other) => return Err(Failure::field("encoding_format", format!("is \"{other}\", but must be \"float\" or \"base64\"."))),
    };
    let texts = embed_input(input, "input")?;
    if texts.is_empty() || texts.iter().any(String::is_empty) {
        return Err(Failure::field("input", "must be a text or a list of texts, none of them empty."));
    }
    Ok((EmbedWish::new(model, texts, (dimensions, prompt_name, truncate.unwrap_or(false)), None)?, encoding))
}

impl Answer {
    pub fn new(model: String, found: Embeddings, encoding: Encoding) -> Self {
        let tokens = found.tokens.iter().map(|tokens| u64::from(*tokens)).sum();
        let written = |vector: Vec<f32>| match encoding {
            Encoding::Float => Vector::Float(vector),
            Encoding::Base64 => Vector::Base64(STANDARD.encode(vector.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())),
        };
        let item = |(index, vector)| Item { object: "embedding", embedding: written(vector), index };
        let data = found.vectors.into_iter().enumerate().map(item).collect();
        Answer { object: "list", data, model, usage: Usage { prompt_tokens: tokens, total_tokens: tokens } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_cannot_be_had_is_named() {
        for (request, field) in [
            (json!({}), "input"),
            (json!({"input": []}), "input"),
            (json!({"input": ["a", ""]}), "input"),
            (json!({"input": [1, 2]}), "input[0]"),
            (json!({"input": "a", "encoding_format": "hex"}), "encoding_format"),
            (json!({"input": "a", "prompt_name": "poem"}), "prompt_name"),
            (json!({"input": "a", "dimensions": -1}), "dimensions"),
        ] {
            let mut whole = request.clone();
            whole["model"] = json!("m");
            assert_eq!(wish(&whole).unwrap_err().field.as_deref(), Some(field), "{request}");
        }
        let (read, encoding) = wish(&json!({"model": "m", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 8})).unwrap();
        assert_eq!((read.ask.texts.len(), read.ask.options.dims, encoding), (2, Some(8), Encoding::Base64));
    }

    #[test]
    fn base64_holds_the_floats() {
        let found = Embeddings { dims: 2, vectors: vec![vec![1.0, -0.5]], tokens: vec![3], truncated: Vec::new() };
        let answer = serde_json::to_value(Answer::new("m".into(), found, Encoding::Base64)).unwrap();
        assert_eq!((&answer["data"][0]["embedding"], &answer["usage"]["total_tokens"]), (&json!("AACAPwAAAL8="), &json!(3)));
    }
}
