//! The requests of Ollama's API. What is not listed is ignored.
//!
//! Source: docs.ollama.com/api.

use crate::serve::api::Failure;
use crate::serve::host::KeepAlive;
use rullama::Tool;
use rullama_source::ollama::{ManifestError, Params};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::time::Duration;

#[derive(Deserialize)]
pub struct Chat {
    pub model: String,
    pub messages: Option<Vec<Value>>,
    pub tools: Option<Vec<Tool>>,
}

#[derive(Deserialize)]
pub struct Generate {
    pub model: String,
    pub prompt: Option<String>,
    pub suffix: Option<String>,
    pub images: Option<Vec<Value>>,
    pub system: Option<String>,
    pub template: Option<String>,
    pub context: Option<Vec<u32>>,
    pub raw: Option<bool>,
}

/// What both kinds of requests have.
#[derive(Deserialize)]
pub struct Common {
    pub stream: Option<bool>,
    pub format: Option<Value>,
    pub keep_alive: Option<Value>,
    pub think: Option<Value>,
    pub options: Option<Map<String, Value>>,
    pub logprobs: Option<bool>,
    pub top_logprobs: Option<u32>,
    pub truncate: Option<bool>,
}

#[derive(Deserialize)]
pub struct Show {
    pub model: Option<String>,
    /// The field's former name.
    pub name: Option<String>,
    pub verbose: Option<bool>,
}

impl Common {
    /// Whether the model is to think first.
    ///
    /// # Errors
    /// A value of another kind.
    pub fn thinking(&self) -> Result<bool, Failure> {
        match &self.think {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(think)) => Ok(*think),
            Some(Value::String(level)) if ["low", "medium", "high"].contains(&level.as_str()) => Ok(true),
            Some(other) => {
                Err(Failure::field("think", format!("is {}, but must be true, false, \"low\", \"medium\" or \"high\".", short(other))))
            }
        }
    }

    /// # Errors
    /// A value that is no duration.
    pub fn keep_alive(&self) -> Result<Option<KeepAlive>, Failure> {
        let Some(value) = self.keep_alive.as_ref().filter(|value| !value.is_null()) else { return Ok(None) };
        let read = match value {
            Value::Number(seconds) => seconds.as_f64().and_then(of_seconds),
            Value::String(text) => keep_alive(text),
            _ => None,
        };
        let wrong = || {
            Failure::field("keep_alive", format!("is {}, but must be seconds or a duration such as \"5m\"; -1 is for ever.", short(value)))
        };
        read.map(Some).ok_or_else(wrong)
    }

    /// The sampling parameters.
    ///
    /// # Errors
    /// One of another type, or that cannot be sampled with.
    pub fn params(&self) -> Result<Params, Failure> {
        let Some(options) = &self.options else { return Ok(Params::default()) };
        let json = serde_json::to_vec(options).unwrap_or_default();
        let params = Params::parse(&json).map_err(|error| match error {
            ManifestError::Parameter { name, value, expected } => {
                Failure::field(format!("options.{name}"), format!("is {value}, but must be {expected}."))
            }
            other => Failure::field("options", format!("cannot be read: {other}")),
        })?;
        crate::serve::api::check(&params, "options.")?;
        Ok(params)
    }
}

/// `5m`, `1h30m`, `300`; what is negative is for ever.
pub fn keep_alive(text: &str) -> Option<KeepAlive> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return of_seconds(seconds);
    }
    match text.strip_prefix('-') {
        Some(rest) => humantime::parse_duration(rest).ok().map(|_| KeepAlive::Forever),
        None => humantime::parse_duration(text).ok().map(KeepAlive::For),
    }
}

fn of_seconds(seconds: f64) -> Option<KeepAlive> {
    if seconds.is_nan() {
        return None;
    }
    // More than a Duration holds is for ever, too.
    Some(if seconds < 0.0 { KeepAlive::Forever } else { Duration::try_from_secs_f64(seconds).map_or(KeepAlive::Forever, KeepAlive::For) })
}

/// A value as an error shows it.
pub fn short(value: &Value) -> String {
    let text = value.to_string();
    let short: String = text.chars().take(60).collect();
    if short.len() < text.len() { format!("{short}...") } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn common(value: Value) -> Common {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn times_to_keep() {
        let seconds = |n| Some(KeepAlive::For(Duration::from_secs(n)));
        for (text, expected) in
            [("5m", seconds(300)), ("1h30m", seconds(5400)), ("300", seconds(300)), ("0", seconds(0)), ("0s", seconds(0))]
        {
            assert_eq!(keep_alive(text), expected, "{text}");
        }
        for text in ["-1", "-1m", "1e300"] {
            assert_eq!(keep_alive(text), Some(KeepAlive::Forever), "{text}");
        }
        for text in ["", "soon", "5 miles", "nan"] {
            assert_eq!(keep_alive(text), None, "{text}");
        }
        assert_eq!(common(json!({"keep_alive": -1})).keep_alive().unwrap(), Some(KeepAlive::Forever));
        assert_eq!(common(json!({"keep_alive": null})).keep_alive().unwrap(), None);
        assert_eq!(common(json!({"keep_alive": []})).keep_alive().unwrap_err().field.as_deref(), Some("keep_alive"));
    }

    #[test]
    fn what_cannot_be_had_is_named() {
        for (options, field) in [
            (json!({"temperature": "hot"}), "options.temperature"),
            (json!({"temperature": -1}), "options.temperature"),
            (json!({"top_p": 1.5}), "options.top_p"),
            (json!({"stop": 3}), "options.stop"),
            (json!({"repeat_penalty": 0}), "options.repeat_penalty"),
        ] {
            assert_eq!(common(json!({"options": options})).params().unwrap_err().field.as_deref(), Some(field));
        }
        let params = common(json!({"options": {"seed": 3, "num_thread": 8, "stop": "x"}})).params().unwrap();
        assert_eq!((params.seed, params.stop), (Some(3), vec!["x".to_owned()]));
        assert!(common(json!({"think": "high"})).thinking().unwrap() && !common(json!({})).thinking().unwrap());
        assert_eq!(common(json!({"think": "much"})).thinking().unwrap_err().field.as_deref(), Some("think"));
    }
}
