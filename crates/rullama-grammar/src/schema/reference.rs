//! References within a schema: found, and spelt so that they need no unescaping.

use super::{children_mut, escaped};
use crate::GrammarError;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Points every `$ref` at what it names, by a path without escapes.
///
/// # Errors
/// One that leaves the schema, names nothing or names itself.
pub(super) fn resolve(root: &mut Map<String, Value>) -> Result<(), GrammarError> {
    let whole = Value::Object(root.clone());
    let mut moved = BTreeMap::new();
    rename(root, "#", &whole, &mut moved)?;
    // What is reached over an escaped name gets a plain one beside.
    let mut copies = Map::new();
    for (pointer, name) in moved.clone() {
        let mut copy = whole.pointer(&pointer).cloned().unwrap_or_default();
        if let Value::Object(map) = &mut copy {
            rename(map, &format!("#{pointer}"), &whole, &mut moved)?;
        }
        copies.insert(name, copy);
    }
    if !copies.is_empty()
        && let Value::Object(defs) = root.entry("$defs").or_insert_with(|| Value::Object(Map::new()))
    {
        defs.extend(copies);
    }
    Ok(())
}

fn rename(map: &mut Map<String, Value>, place: &str, whole: &Value, moved: &mut BTreeMap<String, String>) -> Result<(), GrammarError> {
    if let Some(Value::String(reference)) = map.get_mut("$ref") {
        let wrong = |reason: String| Err(GrammarError::Invalid { place: format!("{place}/$ref"), reason });
        let Some(pointer) = reference.strip_prefix('#').map(decoded).filter(|pointer| pointer.is_empty() || pointer.starts_with('/'))
        else {
            return wrong(format!("`{reference}` is no path within this schema (#/$defs/NAME)"));
        };
        let Some(target) = whole.pointer(&pointer) else { return wrong(format!("`{reference}` names nothing in this schema")) };
        if leads_back(target, whole) {
            return wrong(format!("`{reference}` leads back to itself, so that nothing fits"));
        }
        if pointer.contains('~') || reference.contains('%') {
            let next = moved.len();
            let name = moved.entry(pointer).or_insert_with(|| format!("reference {next}"));
            *reference = format!("#/$defs/{name}");
        }
    }
    let place = place.to_string();
    children_mut(map).into_iter().try_for_each(|(key, child)| match child {
        Value::Object(inner) => rename(inner, &format!("{place}/{}", escaped(key)), whole, moved),
        _ => Ok(()),
    })
}

/// Whether following references alone comes to no end.
fn leads_back(target: &Value, whole: &Value) -> bool {
    let mut at = target;
    for _ in 0..64 {
        let next = at.get("$ref").and_then(Value::as_str).and_then(|next| next.strip_prefix('#')).map(decoded);
        match next.and_then(|pointer| whole.pointer(&pointer)) {
            Some(next) => at = next,
            None => return false,
        }
    }
    true
}

/// A fragment without its %-escapes; what is no UTF-8 stays as it is.
fn decoded(fragment: &str) -> String {
    let bytes = fragment.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| fragment.get(at + 1..at + 3)).flatten();
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| fragment.to_string())
}
