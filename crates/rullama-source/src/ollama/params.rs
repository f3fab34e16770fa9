//! The params and messages layers.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{error::ManifestError, manifest::json};

/// Sampling parameters of the params layer; what it leaves out is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params {
    pub temperature: Option<f32>,
    pub top_k: Option<i64>,
    pub top_p: Option<f32>,
    pub min_p: Option<f32>,
    pub typical_p: Option<f32>,
    /// Tokens that the penalties look back on; -1: the whole context.
    pub repeat_last_n: Option<i64>,
    pub repeat_penalty: Option<f32>,
    pub presence_penalty: Option<f32>,
    pub frequency_penalty: Option<f32>,
    /// -1: random.
    pub seed: Option<i64>,
    /// Most tokens of an answer; negative: no limit.
    pub num_predict: Option<i64>,
    pub num_ctx: Option<i64>,
    pub num_keep: Option<i64>,
    /// Strings that end an answer.
    pub stop: Vec<String>,
}

impl Params {
    /// Reads a params layer; options that are not listed here are skipped, and so is `null`.
    ///
    /// A whole number may be written with a point or an exponent and loses what stands behind the point, as in Ollama.
    ///
    /// # Errors
    /// [`ManifestError::Json`]; [`ManifestError::Parameter`] for a value of the wrong type.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let options = Options(json("params layer", bytes)?);
        Ok(Self {
            temperature: options.number("temperature")?,
            top_k: options.whole("top_k")?,
            top_p: options.number("top_p")?,
            min_p: options.number("min_p")?,
            typical_p: options.number("typical_p")?,
            repeat_last_n: options.whole("repeat_last_n")?,
            repeat_penalty: options.number("repeat_penalty")?,
            presence_penalty: options.number("presence_penalty")?,
            frequency_penalty: options.number("frequency_penalty")?,
            seed: options.whole("seed")?,
            num_predict: options.whole("num_predict")?,
            num_ctx: options.whole("num_ctx")?,
            num_keep: options.whole("num_keep")?,
            stop: options.texts("stop")?,
        })
    }
}

/// The layer's object.
struct Options(Map<String, Value>);

impl Options {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn number(&self, name: &'static str) -> Result<Option<f32>, ManifestError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_f64().map(|number| number as f32).filter(|number| number.is_finite());
        number.map(Some).ok_or_else(|| wrong(name, value, "a number"))
    }

    fn whole(&self, name: &'static str) -> Result<Option<i64>, ManifestError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        // What is too large for the type becomes the largest.
        let number = value.as_i64().or_else(|| value.as_f64().map(|number| number as i64));
        number.map(Some).ok_or_else(|| wrong(name, value, "a number"))
    }

    /// A list of texts, or one.
    fn texts(&self, name: &'static str) -> Result<Vec<String>, ManifestError> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let all = match value {
            Value::String(text) => Some(vec![text.clone()]),
            Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        all.ok_or_else(|| wrong(name, value, "a text or a list of texts"))
    }
}

fn wrong(name: &'static str, value: &Value, expected: &'static str) -> ManifestError {
    let value: String = value.to_string().chars().take(60).collect();
    ManifestError::Parameter { name, value, expected }
}

/// A message that every conversation with the model begins with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StoredMessage {
    pub role: String,
    #[serde(default)]
    pub content: String,
}

impl StoredMessage {
    /// Reads a messages layer.
    ///
    /// # Errors
    /// [`ManifestError::Json`].
    pub fn parse_all(bytes: &[u8]) -> Result<Vec<Self>, ManifestError> {
        json("messages layer", bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params() {
        let json = br#"{"temperature": 1, "top_k": 64, "top_p": 0.95, "stop": ["<turn|>"], "x": {}}"#;
        let params = Params::parse(json).unwrap();
        assert_eq!(params.temperature, Some(1.0));
        assert_eq!((params.top_k, params.top_p), (Some(64), Some(0.95)));
        assert_eq!(params.stop, ["<turn|>"]);
        assert_eq!(Params::parse(br#"{"stop": "a"}"#).unwrap().stop, ["a"]);
        assert_eq!(Params::parse(b"{}").unwrap(), Params::default());
        for wrong in [&b"3"[..], b"", b"{", b"[]"] {
            assert!(matches!(Params::parse(wrong), Err(ManifestError::Json { .. })));
        }
    }

    #[test]
    fn numbers_in_every_json_form() {
        let json = b"\xef\xbb\xbf{\"top_k\": 64.0, \"num_ctx\": 2.048e3, \"temperature\": 1, \"seed\": -1.0, \"num_predict\": 1e30, \"num_keep\": 4.9, \"min_p\": null}";
        let params = Params::parse(json).unwrap();
        assert_eq!((params.top_k, params.num_ctx, params.temperature, params.seed), (Some(64), Some(2048), Some(1.0), Some(-1)));
        assert_eq!((params.num_predict, params.num_keep, params.min_p), (Some(i64::MAX), Some(4), None));
        for (json, name) in [
            (&br#"{"top_k": "many"}"#[..], "top_k"),
            (br#"{"temperature": true}"#, "temperature"),
            (br#"{"top_p": 1e300}"#, "top_p"),
            (br#"{"stop": 3}"#, "stop"),
            (br#"{"stop": ["a", 3]}"#, "stop"),
            (br#"{"num_ctx": [1]}"#, "num_ctx"),
        ] {
            let error = Params::parse(json).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("Modelfile"), "{error}");
        }
    }

    #[test]
    fn messages() {
        let json = br#"[{"role": "user", "content": "hi", "images": null}, {"role": "assistant"}]"#;
        let messages = StoredMessage::parse_all(json).unwrap();
        assert_eq!((messages[0].content.as_str(), messages[1].role.as_str()), ("hi", "assistant"));
    }
}
