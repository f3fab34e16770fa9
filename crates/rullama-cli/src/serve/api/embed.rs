//! What the requests for embeddings of both APIs have in common.

use super::{Api, Failure};
use crate::serve::host::{EmbedAsk, KeepAlive, Part, Task};
use axum::http::StatusCode;
use rullama::{EmbedOptions, EmbedPrompt, Embeddings, Error};
use serde_json::Value;
use std::time::Duration;

/// Most texts of a request: OpenAI's limit, and what bounds an answer.
const MOST: usize = 2048;

/// What a request comes to.
#[derive(Debug)]
pub struct Wish {
    pub model: String,
    pub ask: EmbedAsk,
    pub keep_alive: Option<KeepAlive>,
}

impl Wish {
    /// # Errors
    /// A prompt that there is not.
    pub fn new(
        model: String,
        texts: Vec<String>,
        (dims, prompt, truncate): (Option<u32>, Option<String>, bool),
        keep_alive: Option<KeepAlive>,
    ) -> Result<Self, Failure> {
        let prompt = prompt.as_deref().map_or(Ok(EmbedPrompt::None), EmbedPrompt::named).map_err(|error| match error {
            Error::InvalidArgument { value, reason, .. } => Failure::field("prompt_name", format!("is {value}, which {reason}.")),
            other => Failure::from(&other),
        })?;
        if dims == Some(0) {
            return Err(Failure::field("dimensions", "is 0, but must be at least 1."));
        }
        Ok(Wish { model, ask: EmbedAsk { texts, options: EmbedOptions { prompt, dims, truncate } }, keep_alive })
    }
}

/// One text or a list of them, as field `name` has it.
///
/// # Errors
/// Anything else, ids among it: they are numbers of a vocabulary that the client guessed.
pub fn input(value: Option<Value>, name: &str) -> Result<Vec<String>, Failure> {
    let texts = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => {
            let text = |(i, item): (usize, Value)| match item {
                Value::String(text) => Ok(text),
                Value::Number(_) | Value::Array(_) => {
                    Err(Failure::field(format!("{name}[{i}]"), "is no text: ids are another tokenizer's. Send the texts themselves."))
                }
                _ => Err(Failure::field(format!("{name}[{i}]"), "is no text.")),
            };
            items.into_iter().enumerate().map(text).collect::<Result<Vec<_>, _>>()?
        }
        Some(_) => return Err(Failure::field(name, "must be a text or a list of texts.")),
    };
    if texts.len() > MOST {
        return Err(Failure::field(name, format!("lists {} texts, more than {MOST}. Send them in several requests.", texts.len())));
    }
    Ok(texts)
}

/// The embeddings that a request asks for, and how long loading took.
///
/// # Errors
/// A model that cannot be had or makes none; what ended the work early.
pub async fn embedded(api: &Api, wish: Wish) -> Result<(Embeddings, Duration), Failure> {
    let mut answer = api.ask(&wish.model, wish.keep_alive, Task::Embed(Box::new(wish.ask))).await?;
    let mut embeddings = None;
    loop {
        match answer.next().await {
            Part::Embedded(found) => embeddings = Some(found),
            Part::Begun | Part::Piece(_) => {}
            Part::Failed(failure) => return Err(failure),
            Part::Done(done) => {
                let lost = || Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "the embeddings were lost. Ask again.");
                return Ok((embeddings.ok_or_else(lost)?, done.load));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_and_nothing_else() {
        let read = |value| input(Some(value), "input");
        assert_eq!(read(json!("a")).unwrap(), ["a"]);
        assert_eq!(read(json!(["a", ""])).unwrap(), ["a", ""]);
        assert!(input(None, "input").unwrap().is_empty() && read(json!(null)).unwrap().is_empty());
        for (value, field) in [
            (json!([1, 2]), "input[0]"),
            (json!(["a", [1]]), "input[1]"),
            (json!(["a", {}]), "input[1]"),
            (json!({}), "input"),
            (json!(vec!["a"; MOST + 1]), "input"),
        ] {
            assert_eq!(read(value).unwrap_err().field.as_deref(), Some(field));
        }
        let wish = |dims, prompt: Option<&str>| Wish::new("m".into(), Vec::new(), (dims, prompt.map(str::to_owned), true), None);
        assert_eq!(wish(None, Some("query")).unwrap().ask.options.prompt, EmbedPrompt::Query);
        assert_eq!(wish(None, Some("poem")).unwrap_err().field.as_deref(), Some("prompt_name"));
        assert_eq!(wish(Some(0), None).unwrap_err().field.as_deref(), Some("dimensions"));
    }
}
