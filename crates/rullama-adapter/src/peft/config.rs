//! `adapter_config.json`: what PEFT computes with the matrices.
//!
//! Source: PEFT `tuners/lora/config.py` (`LoraConfig`), `tuners/lora/model.py` (`_create_and_replace`).

use super::name::spellings;
use super::pattern::{Pattern, expression};
use crate::{AdapterError, Target};
use regex_lite::Regex;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// Longest configuration in bytes.
pub(super) const MAX_CONFIG: u64 = 4 << 20;
/// Most keys of a pattern that are more than plain names.
const MAX_EXPRESSIONS: usize = 32;

const PLAIN: &str = "Train a plain LoRA (with `bias` none), or merge the adapter with PEFT and convert the merged model.";
const MEND: &str = "Save the adapter again with PEFT, or correct the key.";

/// Settings under which the matrices mean something else than `scale * B (A x)`, where they are not empty.
const OTHER_MEANING: [(&str, &str); 9] = [
    ("modules_to_save", "whole modules trained beside the adapter"),
    ("layer_replication", "repeated layers"),
    ("target_parameters", "adapters on bare parameters"),
    ("trainable_token_indices", "trained tokens"),
    ("alora_invocation_tokens", "an adapter that begins at a token (aLoRA)"),
    ("arrow_config", "adapters chosen by routing (Arrow)"),
    ("kasa_config", "singular values beside the matrices (KaSA)"),
    ("monteclora_config", "sampled matrices (MonteCLoRA)"),
    ("lora_bias", "biases of the matrices"),
];

/// Beginnings of matrices that leave the base weights as they are; others change them.
const KEEP_BASE: [&str; 3] = ["gaussian", "eva", "orthogonal"];

/// What is needed of the configuration.
pub(super) struct Config {
    file: String,
    pub rank: u32,
    pub alpha: f64,
    pub rslora: bool,
    pub dropout: f32,
    pub base: Option<String>,
    pub ties: bool,
    ranks: Vec<(Pattern, u32)>,
    alphas: Vec<(Pattern, f64)>,
    targets: Targets,
}

/// `target_modules`.
enum Targets {
    /// Ends of paths.
    Names(HashSet<String>),
    Expression(Regex),
    /// None, or an expression that cannot be told here: the file's tensors say which modules there are.
    Open,
}

/// The object with its file's name, for messages.
struct Keys<'a> {
    file: &'a str,
    map: Map<String, Value>,
}

impl Keys<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, value: &Value, reason: impl Into<String>) -> AdapterError {
        let (file, key) = (self.file.to_owned(), key.to_owned());
        AdapterError::Key { file, key, problem: format!("{}, {}", short(value), reason.into()), remedy: MEND }
    }

    fn flag(&self, key: &str) -> Result<bool, AdapterError> {
        let Some(value) = self.get(key) else { return Ok(false) };
        value.as_bool().ok_or_else(|| self.wrong(key, value, "where true or false is expected"))
    }

    fn text(&self, key: &str) -> Result<Option<&str>, AdapterError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong(key, value, "where a text is expected"))
    }

    fn rank(&self, key: &str, value: &Value) -> Result<u32, AdapterError> {
        let rank = value.as_u64().and_then(|rank| u32::try_from(rank).ok()).filter(|rank| (1..=crate::MAX_RANK).contains(rank));
        rank.ok_or_else(|| self.wrong(key, value, format!("where a rank of 1 to {} is expected", crate::MAX_RANK)))
    }

    fn number(&self, key: &str, value: &Value) -> Result<f64, AdapterError> {
        let number = value.as_f64().filter(|number| (*number as f32).is_finite());
        number.ok_or_else(|| self.wrong(key, value, "where a number is expected"))
    }

    fn required(&self, key: &str) -> Result<&Value, AdapterError> {
        let missing = || AdapterError::Key {
            file: self.file.to_owned(),
            key: key.to_owned(),
            problem: "missing, so that the adapter's scale is not known".to_owned(),
            remedy: MEND,
        };
        self.get(key).ok_or_else(missing)
    }

    /// `rank_pattern` or `alpha_pattern`, in the order of the file.
    fn patterns<T>(&self, key: &str, read: impl Fn(&str, &Value) -> Result<T, AdapterError>) -> Result<Vec<(Pattern, T)>, AdapterError> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let map = value.as_object().ok_or_else(|| self.wrong(key, value, "where an object of module names is expected"))?;
        let mut patterns = Vec::with_capacity(map.len());
        for (name, value) in map {
            let at = || format!("{key}[{name:?}]");
            let pattern = Pattern::new(name).map_err(|why| self.wrong(&at(), value, format!("and its name cannot be told: {why}")))?;
            patterns.push((pattern, read(&at(), value)?));
        }
        if patterns.iter().filter(|(pattern, _)| matches!(pattern, Pattern::Expression(_))).count() > MAX_EXPRESSIONS {
            let reason = format!("with more than {MAX_EXPRESSIONS} regular expressions; plain names are expected");
            return Err(self.wrong(key, value, reason));
        }
        Ok(patterns)
    }

    fn targets(&self) -> Result<Targets, AdapterError> {
        match self.get("target_modules") {
            None => Ok(Targets::Open),
            Some(Value::String(text)) if text == "all-linear" => Ok(Targets::Open),
            Some(Value::String(text)) => Ok(expression(&format!("^(?:{text})$")).map_or(Targets::Open, Targets::Expression)),
            Some(value) => {
                let names = value.as_array().and_then(|names| names.iter().map(|name| name.as_str().map(str::to_owned)).collect());
                names.map(Targets::Names).ok_or_else(|| self.wrong("target_modules", value, "where a list of names or a text is expected"))
            }
        }
    }

    /// Refuses what changes the meaning of the matrices.
    fn refuse(&self) -> Result<(), AdapterError> {
        let refused = |what: String| Err(AdapterError::Unsupported { file: self.file.to_owned(), what, remedy: PLAIN });
        for (key, what) in OTHER_MEANING {
            if self.get(key).is_some_and(says_something) {
                return refused(format!("{key} ({what})"));
            }
        }
        if self.flag("use_dora")? {
            return refused("use_dora (DoRA: magnitudes beside the matrices)".to_owned());
        }
        // Whatever further variants there are, their flags are named like this.
        let other = self.map.iter().find(|(key, value)| key.starts_with("use_") && *key != "use_rslora" && says_something(value));
        if let Some((key, _)) = other {
            return refused(format!("{key} (a variant of LoRA)"));
        }
        match self.text("bias")? {
            None | Some("none") => {}
            Some(other) => return refused(format!("bias {other:?} (trained biases)")),
        }
        if self.flag("fan_in_fan_out")? {
            return refused("fan_in_fan_out (transposed weights, which Gemma 4 does not have)".to_owned());
        }
        match self.get("init_lora_weights") {
            Some(Value::String(how)) if !KEEP_BASE.iter().any(|keep| how.eq_ignore_ascii_case(keep)) => {
                refused(format!("init_lora_weights {how:?} (it changes the base weights)"))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a setting is on.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(items) => !items.is_empty(),
        Value::String(text) => !text.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

/// A value for a message.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

impl Config {
    /// Reads the text of the file.
    ///
    /// # Errors
    /// What is wrong with it or cannot be applied, by key.
    pub fn parse(file: &str, json: &[u8]) -> Result<Self, AdapterError> {
        let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
        let not = |what: String| AdapterError::NotAnAdapter { file: file.to_owned(), what, remedy: "Give PEFT's adapter_config.json." };
        let map = match serde_json::from_slice(json) {
            Ok(Value::Object(map)) => map,
            Ok(_) => return Err(not("is JSON, but no object".to_owned())),
            Err(error) => return Err(not(format!("is not the JSON it should be ({error})"))),
        };
        let keys = Keys { file, map };
        match keys.text("peft_type")? {
            None => return Err(not("is JSON without peft_type".to_owned())),
            Some(kind) if kind.eq_ignore_ascii_case("lora") => {}
            Some(other) => {
                return Err(AdapterError::Unsupported { file: file.to_owned(), what: format!("peft_type {other:?}"), remedy: PLAIN });
            }
        }
        keys.refuse()?;
        let dropout = match keys.get("lora_dropout") {
            Some(value) => keys.number("lora_dropout", value)? as f32,
            None => 0.0,
        };
        Ok(Self {
            file: file.to_owned(),
            rank: keys.rank("r", keys.required("r")?)?,
            alpha: keys.number("lora_alpha", keys.required("lora_alpha")?)?,
            rslora: keys.flag("use_rslora")?,
            dropout,
            base: keys.text("base_model_name_or_path")?.map(str::to_owned),
            ties: keys.flag("ensure_weight_tying")?,
            ranks: keys.patterns("rank_pattern", |key, value| keys.rank(key, value))?,
            alphas: keys.patterns("alpha_pattern", |key, value| keys.number(key, value))?,
            targets: keys.targets()?,
        })
    }

    /// Rank and alpha of the module at `path`: those of the first pattern that matches, else the common ones.
    pub fn of(&self, path: &str) -> (u32, f64) {
        let rank = self.ranks.iter().find(|(pattern, _)| pattern.matches(path)).map_or(self.rank, |(_, rank)| *rank);
        let alpha = self.alphas.iter().find(|(pattern, _)| pattern.matches(path)).map_or(self.alpha, |(_, alpha)| *alpha);
        (rank, alpha)
    }

    /// Whether PEFT puts an adapter on the module, at its own path or where other models of transformers have it.
    pub fn targets(&self, path: &str, target: Target) -> bool {
        let matches = |path: &str| match &self.targets {
            Targets::Open => true,
            Targets::Expression(expression) => expression.is_match(path),
            Targets::Names(names) => {
                let ends = path.match_indices('.').map(|(at, _)| &path[at + 1..]);
                std::iter::once(path).chain(ends).any(|end| names.contains(end))
            }
        };
        matches(path) || spellings(target).iter().any(|path| matches(path))
    }

    /// What messages call the file.
    pub fn file(&self) -> &str {
        &self.file
    }
}
