//! What a schema leaves open, narrowed: every answer still fits the schema, and is one that people expect and every reader takes.

use super::{children, children_mut};
use serde_json::{Map, Value, json};

/// Integers that every reader holds exactly (RFC 7493).
const INTEGERS: i64 = 9_007_199_254_740_991;
/// Lengths and counts beyond what an answer has.
const MOST: f64 = 100_000.0;
/// Formats that are held to; others say what a text is for.
const FORMATS: [&str; 10] = ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"];

/// Keywords that say something of a value.
pub(super) const KNOWN: [&str; 27] = [
    "$ref",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "required",
    "type",
];

pub(super) fn narrow(root: &mut Value) {
    // Of schemas that join others, what one leaves open the other may need.
    let alone = !joins(root);
    if let Value::Object(map) = root {
        all(map, alone);
    }
}

/// Whether some value is to fit several schemas at once.
fn joins(schema: &Value) -> bool {
    let Value::Object(map) = schema else { return false };
    let branches = ["anyOf", "oneOf", "$ref"].into_iter().filter(|key| map.contains_key(*key)).count();
    let beside = map.keys().any(|key| KNOWN.contains(&key.as_str()) && !["anyOf", "oneOf", "$ref", "type"].contains(&key.as_str()));
    map.contains_key("allOf") || branches > 1 || (branches == 1 && beside) || children(schema).into_iter().any(|(_, child)| joins(child))
}

fn all(map: &mut Map<String, Value>, alone: bool) {
    for (_, child) in children_mut(map) {
        if let Value::Object(inner) = child {
            all(inner, alone);
        }
    }
    let unheeded = ["uniqueItems", "unevaluatedItems", "unevaluatedProperties", "$recursiveAnchor"];
    map.retain(|key, _| !unheeded.contains(&key.as_str()));
    map.retain(|key, value| key != "format" || value.as_str().is_some_and(|format| FORMATS.contains(&format)));
    // What no answer reaches bounds none.
    map.retain(|key, value| {
        !["maxLength", "maxItems", "maxProperties"].contains(&key.as_str()) || value.as_f64().is_none_or(|n| n <= MOST)
    });
    if map.contains_key("enum") || map.contains_key("const") {
        return;
    }
    integers(map);
    if alone {
        kind(map);
        objects(map);
        tuples(map);
    }
}

fn integers(map: &mut Map<String, Value>) {
    if !has_type(map, "integer") || has_type(map, "number") {
        return;
    }
    let bound = |keys: [&str; 2]| keys.iter().filter_map(|key| map.get(*key)).find_map(Value::as_f64);
    let (low, high) = (bound(["minimum", "exclusiveMinimum"]), bound(["maximum", "exclusiveMaximum"]));
    if low.is_none() && high.is_none_or(|high| high > -(INTEGERS as f64)) {
        map.insert("minimum".into(), json!(-INTEGERS));
    }
    if high.is_none() && low.is_none_or(|low| low < INTEGERS as f64) {
        map.insert("maximum".into(), json!(INTEGERS));
    }
}

/// An object of named properties has those alone.
fn objects(map: &mut Map<String, Value>) {
    let named = |key: &str| map.get(key).and_then(Value::as_object).is_some_and(|named| !named.is_empty());
    let known = |name: &Value| name.as_str().is_some_and(|name| map.get("properties").is_some_and(|known| known.get(name).is_some()));
    let required = map.get("required").and_then(Value::as_array).is_none_or(|names| names.iter().all(known));
    let said = map.contains_key("additionalProperties") || map.contains_key("minProperties");
    if has_type(map, "object") && !said && required && (named("properties") || named("patternProperties")) {
        map.insert("additionalProperties".into(), false.into());
    }
}

/// An array whose first items have schemas of their own has those alone.
fn tuples(map: &mut Map<String, Value>) {
    let first = map.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len) as u64;
    let least = map.get("minItems").and_then(Value::as_u64).unwrap_or(0);
    if has_type(map, "array") && first > 0 && least <= first && !map.contains_key("items") {
        map.insert("items".into(), false.into());
    }
}

/// Whether a schema names a type.
fn has_type(map: &Map<String, Value>, name: &str) -> bool {
    match map.get("type") {
        Some(Value::Array(names)) => names.iter().any(|one| one == name),
        Some(one) => one == name,
        None => false,
    }
}

/// Says the type that a schema without one speaks of.
fn kind(map: &mut Map<String, Value>) {
    if map.contains_key("type") || map.contains_key("$ref") || map.contains_key("anyOf") || map.contains_key("oneOf") {
        return;
    }
    let speaks = |keys: &[&str]| keys.iter().any(|key| map.contains_key(*key));
    let name = match () {
        _ if speaks(&["properties", "patternProperties", "additionalProperties", "required", "minProperties", "maxProperties"]) => "object",
        _ if speaks(&["items", "prefixItems", "minItems", "maxItems"]) => "array",
        _ if speaks(&["pattern", "format", "minLength", "maxLength"]) => "string",
        _ if speaks(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]) => "number",
        _ => return,
    };
    map.insert("type".into(), name.into());
}
