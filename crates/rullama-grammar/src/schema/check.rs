//! Keywords and their values, each with its place.

use super::{BYTES, DEPTH, LISTED, NAMED, SINGLE, SIZE, escaped};
use crate::GrammarError;
use serde_json::{Map, Value};

/// Keywords that forbid what the automaton would allow.
const REFUSED: [&str; 18] = [
    "not",
    "if",
    "then",
    "else",
    "contains",
    "minContains",
    "maxContains",
    "uniqueItems",
    "propertyNames",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "unevaluatedItems",
    "unevaluatedProperties",
    "$dynamicRef",
    "$dynamicAnchor",
    "$recursiveRef",
    "$recursiveAnchor",
];

const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "integer", "string"];

/// What a schema counts for beside a value of an enumeration.
const SCHEMA: usize = 8;

/// Longest regular expression.
const PATTERN: usize = 4096;

/// Bounds of lengths and counts: larger ones would unroll into as many states.
const COUNT: u64 = 100_000;

#[derive(Default)]
struct Walk {
    size: usize,
    bytes: usize,
}

/// Whether the schema is one, and within bounds.
///
/// # Errors
/// [`GrammarError`], with the place as `#/properties/name`.
pub(super) fn check(schema: &Value) -> Result<(), GrammarError> {
    Walk::default().schema(schema, "#", 0)
}

fn wrong<T>(place: String, reason: impl Into<String>) -> Result<T, GrammarError> {
    Err(GrammarError::Invalid { place, reason: reason.into() })
}

impl Walk {
    fn count(&mut self, size: usize, bytes: usize) -> Result<(), GrammarError> {
        self.size += size;
        self.bytes += bytes;
        let large = |what: &str, limit| Err(GrammarError::TooLarge { what: what.into(), limit });
        match (self.size > SIZE, self.bytes > BYTES) {
            (true, _) => large("more parts", SIZE),
            (_, true) => large("more bytes of text", BYTES),
            _ => Ok(()),
        }
    }

    fn schema(&mut self, schema: &Value, place: &str, depth: usize) -> Result<(), GrammarError> {
        if depth > DEPTH {
            return Err(GrammarError::TooLarge { what: "schemas within schemas".into(), limit: DEPTH });
        }
        self.count(SCHEMA, 0)?;
        match schema {
            Value::Object(map) => map.iter().try_for_each(|(key, value)| self.keyword(map, key, value, place, depth)),
            Value::Bool(true) => Ok(()),
            Value::Bool(false) if depth == 0 => wrong(place.into(), "`false` allows no answer"),
            Value::Bool(false) => Ok(()),
            _ => wrong(place.into(), "a schema is an object, true or false"),
        }
    }

    fn keyword(&mut self, map: &Map<String, Value>, key: &str, value: &Value, place: &str, depth: usize) -> Result<(), GrammarError> {
        let here = || format!("{place}/{}", escaped(key));
        self.count(0, key.len())?;
        if REFUSED.contains(&key) && !says_nothing(key, value) {
            return Err(GrammarError::Keyword { keyword: key.into(), place: place.into() });
        }
        match value {
            Value::Object(named) if NAMED.contains(&key) => {
                named.iter().try_for_each(|(name, schema)| self.schema(schema, &format!("{}/{}", here(), escaped(name)), depth + 1))
            }
            _ if NAMED.contains(&key) => wrong(here(), "it holds schemas by name"),
            Value::Array(list) if LISTED.contains(&key) || key == "items" => {
                if list.is_empty() && key != "items" {
                    return wrong(here(), "the list is empty");
                }
                list.iter().enumerate().try_for_each(|(i, schema)| self.schema(schema, &format!("{}/{i}", here()), depth + 1))
            }
            _ if LISTED.contains(&key) => wrong(here(), "it is a list of schemas"),
            _ if SINGLE.contains(&key) => self.schema(value, &here(), depth + 1),
            _ => self.value(map, key, value, here),
        }
    }

    /// A keyword that holds no schemas.
    fn value(&mut self, map: &Map<String, Value>, key: &str, value: &Value, here: impl Fn() -> String) -> Result<(), GrammarError> {
        match key {
            "type" => types(value, here),
            "enum" | "const" => self.literal(key, value, here),
            "required" => match value.as_array() {
                Some(names) if names.iter().all(Value::is_string) => self.count(names.len(), text(value)),
                _ => wrong(here(), "it is a list of names"),
            },
            "minimum" | "maximum" | "multipleOf" if !value.is_number() => wrong(here(), "it is a number"),
            "multipleOf" if !value.as_f64().is_some_and(is_factor) => {
                wrong(here(), "it is from 0.000001 to 1000000, with at most six decimals")
            }
            "exclusiveMinimum" | "exclusiveMaximum" if !value.is_number() && !value.is_boolean() => wrong(here(), "it is a number"),
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => count(map, key, value, here),
            "pattern" | "format" | "$ref" => match value.as_str() {
                Some(text) if text.len() > PATTERN => wrong(here(), format!("it is longer than {PATTERN} bytes")),
                Some(text) => self.count(0, text.len()),
                None => wrong(here(), "it is a text"),
            },
            // Titles, examples and the like change nothing.
            _ => Ok(()),
        }
    }

    fn literal(&mut self, key: &str, value: &Value, here: impl Fn() -> String) -> Result<(), GrammarError> {
        match (key, value) {
            ("enum", Value::Array(values)) if values.is_empty() => wrong(here(), "the list is empty"),
            ("enum", Value::Array(values)) => values.iter().try_for_each(|value| self.count(parts(value), text(value))),
            ("enum", _) => wrong(here(), "it is a list of values"),
            _ => self.count(parts(value), text(value)),
        }
    }
}

/// Whether a keyword of [`REFUSED`] is set to what it is without being said.
fn says_nothing(key: &str, value: &Value) -> bool {
    match key {
        "uniqueItems" => *value == Value::Bool(false),
        "unevaluatedItems" | "unevaluatedProperties" => *value == Value::Bool(true),
        "$recursiveAnchor" => *value == Value::Bool(false),
        _ => false,
    }
}

/// Whether the automaton can count its remainders.
fn is_factor(number: f64) -> bool {
    let millionths = number * 1e6;
    (1e-6..=1e6).contains(&number) && (millionths - millionths.round()).abs() < 1e-3
}

fn types(value: &Value, here: impl Fn() -> String) -> Result<(), GrammarError> {
    let known = |value: &Value| value.as_str().is_some_and(|name| TYPES.contains(&name));
    let fits = match value {
        Value::Array(names) => !names.is_empty() && names.iter().all(known),
        name => known(name),
    };
    if fits { Ok(()) } else { wrong(here(), format!("{value} is none of {}", TYPES.join(", "))) }
}

fn count(map: &Map<String, Value>, key: &str, value: &Value, here: impl Fn() -> String) -> Result<(), GrammarError> {
    let whole = |value: &Value| value.as_u64().or_else(|| value.as_f64().filter(|n| *n >= 0.0 && n.fract() == 0.0).map(|n| n as u64));
    let Some(number) = whole(value) else { return wrong(here(), "it is a whole number of at least 0") };
    // An upper bound beyond what an answer can have is none.
    if number > COUNT && key.starts_with("min") {
        return Err(GrammarError::TooLarge { what: format!("a {key} of {number}"), limit: COUNT as usize });
    }
    let other = key.strip_prefix("min").and_then(|rest| map.get(&format!("max{rest}"))).and_then(whole);
    match other {
        Some(most) if most < number => wrong(here(), format!("{number} is above its maximum of {most}, so that nothing fits")),
        _ => Ok(()),
    }
}

/// Bytes of a value's texts.
fn text(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(text).sum(),
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + text(value)).sum(),
        _ => 8,
    }
}

/// Values within a value, itself counted.
fn parts(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(parts).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(parts).sum::<usize>(),
        _ => 1,
    }
}
