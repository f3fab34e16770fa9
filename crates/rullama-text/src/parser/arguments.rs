//! Tool calls: `call:NAME{k:v,...}` to a name and JSON arguments.

use serde_json::{Map, Value};

use super::repair;
use crate::chat::{FunctionCall, Tool};

/// Delimits strings in the model's notation; nothing inside is escaped.
pub(super) const QUOTE: &str = "<|\"|>";

/// Reads a call; `None` if it cannot be read even after repairs.
pub(super) fn parse_call(text: &str, tools: &[Tool]) -> Option<FunctionCall> {
    let call = text.strip_prefix("call:")?;
    let (name, _) = call.split_once('{')?;
    let arguments = &call[name.len()..];
    let name = name.trim();
    let parsed = parse_arguments(arguments).or_else(|| {
        let candidates = repair::candidates(arguments, name, tools);
        candidates.iter().find_map(|candidate| parse_arguments(candidate))
    })?;
    Some(FunctionCall { index: 0, name: name.to_string(), arguments: parsed })
}

fn parse_arguments(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(&to_json(text)).ok()
}

/// The model's notation as JSON: delimited strings become JSON strings, bare keys are quoted.
pub(super) fn to_json(text: &str) -> String {
    quote_keys(&quote_strings(text))
}

fn quote_strings(text: &str) -> String {
    let mut json = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(QUOTE) {
        let Some((value, tail)) = after.split_once(QUOTE) else { break };
        json.push_str(before);
        json.push_str(&Value::from(value).to_string());
        rest = tail;
    }
    json.push_str(rest);
    json
}

/// Quotes identifiers that follow `{` or `,` and precede `:`, outside JSON strings.
fn quote_keys(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '"' => json_string_len(rest).unwrap_or(1),
            '{' | ',' => 1 + space_len(&rest[1..]),
            _ => rest.find(['"', '{', ',']).unwrap_or(rest.len()),
        };
        json.push_str(&rest[..taken]);
        rest = &rest[taken..];
        if matches!(c, '{' | ',') {
            let key = &rest[..identifier_len(rest)];
            if !key.is_empty() && rest[key.len()..].starts_with(':') {
                json.push('"');
                json.push_str(key);
                json.push('"');
                rest = &rest[key.len()..];
            }
        }
    }
    json
}

/// Length of the JSON string that `text` begins with, quotes included.
pub(super) fn json_string_len(text: &str) -> Option<usize> {
    closing(text, b'"').map(|end| end + 1)
}

/// Where the quote that `text` begins with is closed, honouring backslashes.
pub(super) fn closing(text: &str, quote: u8) -> Option<usize> {
    let mut escaped = false;
    for (i, byte) in text.bytes().enumerate().skip(1) {
        if byte == quote && !escaped {
            return Some(i);
        }
        escaped = byte == b'\\' && !escaped;
    }
    None
}

/// Length of the white space at the start of `text`.
pub(super) fn space_len(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

/// Length of the letters, digits and underscores at the start of `text`.
pub(super) fn identifier_len(text: &str) -> usize {
    text.find(|c: char| !(c == '_' || c.is_alphanumeric())).unwrap_or(text.len())
}
