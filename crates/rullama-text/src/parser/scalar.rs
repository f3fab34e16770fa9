//! Numbers, literals and words without delimiters.

use super::accepts::Accepts;
use serde_json::{Number, Value};

/// A word as the schema reads it; `None` if it can be nothing that the schema allows.
pub(super) fn word(text: &str, accepts: Accepts) -> Option<Value> {
    let as_text = || accepts.text().then(|| Value::from(text));
    match text {
        "" => accepts.declared_string().then(|| Value::from("")),
        "null" | "None" => Some(Value::Null),
        "true" | "True" | "false" | "False" if accepts.string_not_boolean() => as_text(),
        "true" | "True" => Some(Value::Bool(true)),
        "false" | "False" => Some(Value::Bool(false)),
        _ if accepts.string_not_number() => as_text(),
        _ => number(text).or_else(|| if accepts.declared_number() { python_number(text) } else { None }).or_else(as_text),
    }
}

/// Whether `text` is a number or literal of the notation or of Python.
pub(super) fn is_value(text: &str) -> bool {
    matches!(text, "null" | "None" | "true" | "True" | "false" | "False") || number(text).is_some()
}

/// A JSON number.
fn number(text: &str) -> Option<Value> {
    let begins = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    if begins { serde_json::from_str::<Number>(text).ok().map(Value::Number) } else { None }
}

/// What Python also takes for a number: signs, leading zeros, points at an end, underscores between digits.
fn python_number(text: &str) -> Option<Value> {
    let digits = text.replace('_', "");
    let valid = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    if !valid {
        return None;
    }
    if let Ok(integer) = digits.parse::<i64>() {
        return Some(integer.into());
    }
    Number::from_f64(digits.parse().ok()?).map(Value::Number)
}
