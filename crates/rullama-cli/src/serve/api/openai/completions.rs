//! `/v1/completions`: a prompt is continued as it stands, without a template.

use super::answers::{Kind, Record};
use super::wire::Common;
use crate::serve::api::{Failure, value};
use crate::serve::host::{Ask, Prompt};
use serde::Deserialize;
use serde_json::Value;

/// Most log-probabilities beside a token's own that this request has.
const MOST_LOGPROBS: u32 = 5;

#[derive(Deserialize)]
struct Request {
    prompt: Option<Value>,
    suffix: Option<String>,
    echo: Option<bool>,
    best_of: Option<u32>,
    logprobs: Option<u32>,
}

/// What a request comes to.
pub struct Wish {
    pub model: String,
    pub ask: Ask,
    pub stream: bool,
    pub record: Record,
}

/// # Errors
/// What cannot be read, or cannot be had.
pub fn wish(request: &Value) -> Result<Wish, Failure> {
    let common: Common = value(request, "")?;
    let asked: Request = value(request, "")?;
    if asked.suffix.as_deref().is_some_and(|suffix| !suffix.is_empty()) {
        return Err(Failure::field("suffix", "cannot be heeded: the models have no tokens for filling a gap. Leave it out."));
    }
    if asked.echo == Some(true) {
        return Err(Failure::field("echo", "cannot be had: the prompt is not given back. Put it before the answer yourself."));
    }
    if let Some(n) = asked.best_of.filter(|n| *n != 1) {
        return Err(Failure::field("best_of", format!("is {n}, but only one answer is given to a request. Ask several times.")));
    }
    if let Some(n) = asked.logprobs.filter(|n| *n > MOST_LOGPROBS) {
        return Err(Failure::field("logprobs", format!("is {n}, but may be at most {MOST_LOGPROBS}.")));
    }
    let ask = Ask {
        prompt: prompt(asked.prompt)?,
        params: common.params()?,
        logit_bias: common.logit_bias()?,
        logprobs: asked.logprobs,
        one_call: false,
        forced: None,
        format: None,
    };
    let record = Record::new(&common, Kind::Completion);
    Ok(Wish { model: common.model, ask, stream: common.stream.unwrap_or(false), record })
}

/// A text, ids, or a list of one such.
fn prompt(prompt: Option<Value>) -> Result<Prompt, Failure> {
    let wrong = || Failure::field("prompt", "must be a text, or a list of token ids.");
    let id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(wrong);
    match prompt {
        None | Some(Value::Null) => Err(Failure::field("prompt", "is missing: give the text to continue.")),
        Some(Value::String(text)) if text.is_empty() => Err(Failure::field("prompt", "is empty: give the text to continue.")),
        Some(Value::String(text)) => Ok(Prompt::Raw(text)),
        Some(Value::Array(mut list)) => match &list[..] {
            [Value::String(_) | Value::Array(_)] => self::prompt(list.pop()),
            [Value::String(_) | Value::Array(_), ..] => {
                Err(Failure::field("prompt", format!("lists {} prompts, but one is answered in a request. Ask several times.", list.len())))
            }
            [] => Err(wrong()),
            ids => Ok(Prompt::Ids(ids.iter().map(id).collect::<Result<_, _>>()?)),
        },
        Some(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn prompts() {
        assert!(matches!(prompt(Some(json!("a"))), Ok(Prompt::Raw(text)) if text == "a"));
        assert!(matches!(prompt(Some(json!(["a"]))), Ok(Prompt::Raw(text)) if text == "a"));
        assert!(matches!(prompt(Some(json!([2, 3]))), Ok(Prompt::Ids(ids)) if ids == [2, 3]));
        assert!(matches!(prompt(Some(json!([[2, 3]]))), Ok(Prompt::Ids(ids)) if ids == [2, 3]));
        for wrong in [json!(null), json!(""), json!([]), json!(["a", "b"]), json!([-1]), json!([1, "a"]), json!({}), json!([[[[]]]])] {
            assert_eq!(prompt(Some(wrong.clone())).err().and_then(|failure| failure.field).as_deref(), Some("prompt"), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_had_is_named() {
        for (field, value) in
            [("suffix", json!("x")), ("echo", json!(true)), ("best_of", json!(3)), ("logprobs", json!(6)), ("n", json!(2))]
        {
            let mut request = json!({"model": "m", "prompt": "a"});
            request[field] = value;
            assert_eq!(wish(&request).err().and_then(|failure| failure.field).as_deref(), Some(field));
        }
    }
}
