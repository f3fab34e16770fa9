//! The params and messages layers.

use serde::{Deserialize, Deserializer};

use super::error::ManifestError;

/// Sampling parameters of the params layer; what it leaves out is `None`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
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
    #[serde(deserialize_with = "one_or_many")]
    pub stop: Vec<String>,
}

impl Params {
    /// Reads a params layer; options that are not listed here are skipped.
    ///
    /// # Errors
    /// [`ManifestError::Json`] for a value of the wrong type.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        let what = "params layer";
        serde_json::from_slice(json).map_err(|source| ManifestError::Json { what, source })
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "stop must be a string or a list of strings")]
    enum Stop {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Option::<Stop>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Stop::One(stop)) => vec![stop],
        Some(Stop::Many(stops)) => stops,
    })
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
    pub fn parse_all(json: &[u8]) -> Result<Vec<Self>, ManifestError> {
        let what = "messages layer";
        serde_json::from_slice(json).map_err(|source| ManifestError::Json { what, source })
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
        for wrong in [&br#"{"top_k": "many"}"#[..], br#"{"stop": 3}"#, b"3", b"", b"{"] {
            assert!(Params::parse(wrong).is_err());
        }
    }

    #[test]
    fn messages() {
        let json = br#"[{"role": "user", "content": "hi", "images": null}, {"role": "assistant"}]"#;
        let messages = StoredMessage::parse_all(json).unwrap();
        assert_eq!((messages[0].content.as_str(), messages[1].role.as_str()), ("hi", "assistant"));
    }
}
