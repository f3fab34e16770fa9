//! The requests of OpenAI's API. What is not listed is ignored.
//!
//! Source: platform.openai.com/docs/api-reference.

use crate::serve::api::{Failure, check};
use rullama::Tool;
use rullama_source::ollama::Params;
use serde::Deserialize;
use serde_json::{Map, Value};

/// What the requests have in common.
#[derive(Deserialize)]
pub struct Common {
    pub model: String,
    pub stream: Option<bool>,
    pub stream_options: Option<StreamOptions>,
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub max_tokens: Option<i64>,
    pub max_completion_tokens: Option<i64>,
    pub max_output_tokens: Option<i64>,
    pub stop: Option<Value>,
    pub seed: Option<i64>,
    pub presence_penalty: Option<f32>,
    pub frequency_penalty: Option<f32>,
    pub logit_bias: Option<Map<String, Value>>,
    pub n: Option<u32>,
    pub tool_choice: Option<Value>,
    pub parallel_tool_calls: Option<bool>,
    /// Ollama's, llama.cpp's and vLLM's names for what OpenAI has not.
    pub top_k: Option<i64>,
    pub min_p: Option<f32>,
    pub repeat_penalty: Option<f32>,
}

#[derive(Default, Deserialize)]
pub struct StreamOptions {
    pub include_usage: Option<bool>,
}

impl Common {
    pub fn usage_wanted(&self) -> bool {
        self.stream_options.as_ref().and_then(|options| options.include_usage).unwrap_or(false)
    }

    /// The sampling parameters.
    ///
    /// # Errors
    /// One that cannot be sampled with, or more than one answer.
    pub fn params(&self) -> Result<Params, Failure> {
        if let Some(n) = self.n.filter(|n| *n != 1) {
            return Err(Failure::field("n", format!("is {n}, but only one answer is given to a request. Ask several times.")));
        }
        let limits = [
            ("max_completion_tokens", self.max_completion_tokens),
            ("max_output_tokens", self.max_output_tokens),
            ("max_tokens", self.max_tokens),
        ];
        if let Some((name, n)) = limits.iter().find_map(|(name, n)| n.filter(|n| *n < 1).map(|n| (*name, n))) {
            return Err(Failure::field(name, format!("is {n}, but must be at least 1.")));
        }
        let params = Params {
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            min_p: self.min_p,
            repeat_penalty: self.repeat_penalty,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            seed: self.seed,
            num_predict: limits.iter().find_map(|(_, n)| *n),
            stop: self.stops()?,
            ..Params::default()
        };
        check(&params, "")?;
        Ok(params)
    }

    fn stops(&self) -> Result<Vec<String>, Failure> {
        let wrong = || Failure::field("stop", "must be a text or a list of texts.");
        match &self.stop {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text.clone()]),
            Some(Value::Array(texts)) => texts.iter().map(|text| text.as_str().map(str::to_owned).ok_or_else(wrong)).collect(),
            Some(_) => Err(wrong()),
        }
    }

    /// Added to the logits of tokens, by their ids.
    ///
    /// # Errors
    /// What is no id or no number.
    pub fn logit_bias(&self) -> Result<Vec<(u32, f32)>, Failure> {
        let pairs = self.logit_bias.iter().flatten().map(|(id, bias)| {
            let number = bias.as_f64().map(|bias| bias as f32).filter(|bias| bias.is_finite());
            let pair = id.trim().parse().ok().zip(number);
            pair.ok_or_else(|| Failure::field("logit_bias", "must be an object of numbers by token ids, such as {\"105\": -100}."))
        });
        pairs.collect()
    }
}

/// Tools of type `function`.
///
/// # Errors
/// One of another type.
pub fn tools(tools: Option<Vec<Value>>) -> Result<Vec<Tool>, Failure> {
    let tools = tools.unwrap_or_default();
    let read = tools.iter().enumerate().map(|(i, tool)| {
        let place = format!("tools[{i}]");
        match tool.get("type").and_then(Value::as_str) {
            Some("function") | None => crate::serve::api::value(tool, &place),
            Some(other) => Err(Failure::field(
                format!("{place}.type"),
                format!("is \"{other}\", but only tools of type \"function\" can be had, which your program runs."),
            )),
        }
    });
    read.collect()
}

/// Whether the model is to think first.
///
/// # Errors
/// An effort of another name.
pub fn thinking(effort: Option<&Value>, field: &str) -> Result<bool, Failure> {
    match effort {
        None | Some(Value::Null) => Ok(false),
        Some(Value::String(effort)) if effort == "none" => Ok(false),
        Some(Value::String(effort)) if ["minimal", "low", "medium", "high", "xhigh"].contains(&effort.as_str()) => Ok(true),
        Some(_) => Err(Failure::field(
            field,
            "must be \"none\", \"minimal\", \"low\", \"medium\" or \"high\"; all but the first are the same here.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn common(mut value: Value) -> Common {
        value["model"] = json!("m");
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_cannot_be_had_is_named() {
        for (request, field) in [
            (json!({"n": 2}), "n"),
            (json!({"max_tokens": 0}), "max_tokens"),
            (json!({"max_completion_tokens": -5}), "max_completion_tokens"),
            (json!({"temperature": -1}), "temperature"),
            (json!({"top_p": 2}), "top_p"),
            (json!({"stop": [1]}), "stop"),
            (json!({"stop": {}}), "stop"),
        ] {
            assert_eq!(common(request.clone()).params().unwrap_err().field.as_deref(), Some(field), "{request}");
        }
        for bias in [json!({"x": 1}), json!({"1": "much"})] {
            assert_eq!(common(json!({"logit_bias": bias})).logit_bias().unwrap_err().field.as_deref(), Some("logit_bias"));
        }
        assert_eq!(common(json!({"logit_bias": {"7": -100}})).logit_bias().unwrap(), [(7, -100.0)]);
        assert_eq!(tools(Some(vec![json!({"type": "web_search"})])).unwrap_err().field.as_deref(), Some("tools[0].type"));
        assert!(thinking(Some(&json!("low")), "x").unwrap() && !thinking(Some(&json!("none")), "x").unwrap());
        assert!(thinking(Some(&json!("huge")), "reasoning_effort").is_err());
    }

    #[test]
    fn limits_by_all_their_names() {
        let most = |request| common(request).params().unwrap().num_predict;
        assert_eq!(most(json!({"max_tokens": 5})), Some(5));
        assert_eq!(most(json!({"max_tokens": 5, "max_completion_tokens": 7})), Some(7));
        assert_eq!(most(json!({"max_output_tokens": 9})), Some(9));
        assert_eq!(most(json!({"max_tokens": null})), None);
        assert_eq!(common(json!({"stop": "a"})).params().unwrap().stop, ["a"]);
    }
}
