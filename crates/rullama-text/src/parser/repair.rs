//! Repairs of tool-call arguments that do not read as JSON. Each repaired text must still pass
//! the ordinary parser, so a repair can only turn a lost call into a read one.

use serde_json::{Map, Value};

use super::arguments::{QUOTE, closing, identifier_len, json_string_len, space_len};
use crate::chat::Tool;

/// The texts worth trying, in order.
pub(super) fn candidates(arguments: &str, tool: &str, tools: &[Tool]) -> Vec<String> {
    let mut candidates = vec![repaired(arguments, false)];
    if let Some(wrapped) = wrap_raw_string(arguments, tool, tools) {
        candidates.push(repaired(&wrapped, true));
    }
    candidates
}

/// Single quotes, then an unclosed string, then, if anything changed or `close` is set, the
/// final brace.
fn repaired(arguments: &str, close: bool) -> String {
    let strings = close_string(&delimit_single_quoted(arguments));
    if close || strings != arguments { close_object(strings) } else { strings }
}

/// `k:'v'` becomes `k:<|"|>v<|"|>`; a delimiter right behind the closing quote is dropped.
fn delimit_single_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = match opaque_len(rest) {
            Some(length) => length,
            None if c == ':' => 1 + space_len(&rest[1..]),
            None => c.len_utf8(),
        };
        let is_colon = c == ':';
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
        if is_colon
            && rest.starts_with('\'')
            && let Some(end) = closing(rest, b'\'')
        {
            out.push_str(QUOTE);
            out.push_str(&rest[1..end]);
            out.push_str(QUOTE);
            rest = &rest[end + 1..];
            rest = rest.strip_prefix(QUOTE).unwrap_or(rest);
        }
    }
    out
}

/// Length of the string that `text` begins with: a delimited one (to the end if unclosed) or a
/// JSON one.
fn opaque_len(text: &str) -> Option<usize> {
    if let Some(after) = text.strip_prefix(QUOTE) {
        return Some(after.find(QUOTE).map_or(text.len(), |end| end + 2 * QUOTE.len()));
    }
    if text.starts_with('"') { json_string_len(text) } else { None }
}

/// Closes an unbalanced delimiter at the end, before a final `}` or `]`.
fn close_string(text: &str) -> String {
    if text.matches(QUOTE).count().is_multiple_of(2) {
        return text.to_string();
    }
    let trimmed = text.trim_end();
    let at = trimmed.len() - usize::from(trimmed.ends_with(['}', ']']));
    format!("{}{QUOTE}{}", &text[..at], &text[at..])
}

/// Adds the missing final brace of an object.
fn close_object(text: String) -> String {
    if !text.trim_start().starts_with('{') || text.trim_end().ends_with('}') {
        return text;
    }
    format!("{}}}", text.trim_end())
}

/// Wraps the raw value of the first argument that the tool's schema calls a string.
fn wrap_raw_string(arguments: &str, tool: &str, tools: &[Tool]) -> Option<String> {
    let function = &tools.iter().find(|t| t.function.name == tool)?.function;
    let properties = function.parameters.get("properties")?.as_object()?;
    let strings = properties.iter().filter(|(_, schema)| accepts_string(schema));
    strings.map(|(key, _)| key).find_map(|key| wrap_value_of(arguments, key, properties))
}

fn accepts_string(schema: &Value) -> bool {
    let is_string = |v: &Value| v.as_str().is_some_and(|t| t.eq_ignore_ascii_case("string"));
    let named = match schema.get("type") {
        Some(Value::Array(types)) => types.iter().any(is_string),
        Some(kind) => is_string(kind),
        None => false,
    };
    let branches = schema.get("anyOf").and_then(Value::as_array);
    named || branches.is_some_and(|branches| branches.iter().any(accepts_string))
}

fn wrap_value_of(text: &str, key: &str, properties: &Map<String, Value>) -> Option<String> {
    let mut from = 0;
    loop {
        let start = value_start(text, key, from)?;
        if is_structured(text[start..].trim_start()) {
            from = start;
            continue;
        }
        let end = raw_value_end(text, start, properties);
        let (before, value, after) = (&text[..start], &text[start..end], &text[end..]);
        return Some(format!("{before}{QUOTE}{value}{QUOTE}{after}"));
    }
}

/// Byte behind the colon of `key`, searching from `from` outside strings.
fn value_start(text: &str, key: &str, from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(c) = text[at..].chars().next() {
        if let Some(length) = opaque_len(&text[at..]) {
            at += length;
            continue;
        }
        at += c.len_utf8();
        if matches!(c, '{' | ',')
            && let Some(after) = text[at..].trim_start().strip_prefix(key)
            && let Some(value) = after.trim_start().strip_prefix(':')
        {
            return Some(text.len() - value.len());
        }
    }
    None
}

/// A raw value ends before the next `,key:` of the schema, or before the final brace.
fn raw_value_end(text: &str, start: usize, properties: &Map<String, Value>) -> usize {
    for (comma, _) in text[start..].match_indices(',') {
        let next = text[start + comma + 1..].trim_start();
        let key = &next[..identifier_len(next)];
        if next[key.len()..].trim_start().starts_with(':') && properties.contains_key(key) {
            return start + comma;
        }
    }
    let trimmed = text.trim_end();
    if trimmed.len() > start && trimmed.ends_with('}') { trimmed.len() - 1 } else { text.len() }
}

/// Whether a value is more than raw text: a string, object, array, number or literal.
fn is_structured(value: &str) -> bool {
    let is_literal = matches!(&value[..identifier_len(value)], "true" | "false" | "null");
    is_literal
        || value.starts_with(QUOTE)
        || value.starts_with(['\'', '"', '{', '[', '-'])
        || value.starts_with(|c: char| c.is_ascii_digit())
}
