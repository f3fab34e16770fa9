//! What a schema leaves open, narrowed: every answer still fits the schema, and is one that people expect and every reader takes.

use super::{children, children_mut};
use serde_json::{Map, Value, json};

/// Integers that every reader holds exactly (RFC 7493).
const INTEGERS: f64 = 9_007_199_254_740_991.0;
/// Numbers of this magnitude are written without an exponent, and none is beyond what readers hold.
const NUMBERS: f64 = 1e15;

/// Formats that are held to; others say what a text is for.
const FORMATS: [&str; 10] = ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"];

/// Keywords that say something of a value.
const KNOWN: [&str; 27] = [
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
    let joined = joins(root);
    let any = if joined { None } else { Some(free_name(root)) };
    if let Value::Object(map) = root {
        Narrow { any: any.as_deref() }.all(map);
        let unsaid = any.is_some() && !map.keys().any(|key| KNOWN.contains(&key.as_str()));
        if let Some(name) = any {
            if unsaid {
                map.insert("$ref".into(), reference(&name));
            }
            let defs = map.entry("$defs").or_insert_with(|| json!({}));
            if let Value::Object(defs) = defs {
                defs.insert(name.clone(), anything(&name));
            }
        }
    }
}

fn reference(name: &str) -> Value {
    format!("#/$defs/{name}").into()
}

/// JSON of any kind, its numbers bounded.
fn anything(name: &str) -> Value {
    let again = json!({ "$ref": reference(name) });
    json!({"anyOf": [
        {"type": ["null", "boolean", "string"]},
        {"type": "number", "minimum": -NUMBERS, "maximum": NUMBERS},
        {"type": "array", "items": again},
        {"type": "object", "additionalProperties": again},
    ]})
}

/// A name that is not taken among the definitions.
fn free_name(root: &Value) -> String {
    let taken = |name: &str| root.get("$defs").is_some_and(|defs| defs.get(name).is_some());
    let mut name = "anything".to_string();
    while taken(&name) {
        name.push('_');
    }
    name
}

/// Whether some value is to fit several schemas at once.
fn joins(schema: &Value) -> bool {
    let Value::Object(map) = schema else { return false };
    let branches = ["anyOf", "oneOf", "$ref"].into_iter().filter(|key| map.contains_key(*key)).count();
    let beside = map.keys().any(|key| KNOWN.contains(&key.as_str()) && !["anyOf", "oneOf", "$ref", "type"].contains(&key.as_str()));
    map.contains_key("allOf") || branches > 1 || (branches == 1 && beside) || children(schema).into_iter().any(|(_, child)| joins(child))
}

struct Narrow<'a> {
    /// The definition of any JSON, where schemas may be narrowed by themselves.
    any: Option<&'a str>,
}

impl Narrow<'_> {
    fn all(&self, map: &mut Map<String, Value>) {
        for (key, child) in children_mut(map) {
            if let Value::Object(inner) = child {
                self.all(inner);
            }
            let says_nothing = match &*child {
                Value::Bool(open) => *open,
                Value::Object(inner) => !inner.keys().any(|key| KNOWN.contains(&key.as_str())),
                _ => false,
            };
            // Branches of `oneOf` must differ, which a reference hides.
            if let (true, true, Some(name)) = (says_nothing, key != "oneOf", self.any) {
                *child = json!({ "$ref": reference(name) });
            }
        }
        map.retain(|key, _| !["$schema", "uniqueItems", "unevaluatedItems", "unevaluatedProperties", "$recursiveAnchor"].contains(&key.as_str()));
        map.retain(|key, value| key != "format" || value.as_str().is_some_and(|format| FORMATS.contains(&format)));
        map.retain(|key, value| !key.starts_with("max") || key == "maximum" || value.as_f64().is_none_or(|most| most <= 100_000.0));
        if !map.contains_key("enum") && !map.contains_key("const") {
            self.numbers(map);
            if self.any.is_some() {
                kind(map);
                self.objects(map);
                self.arrays(map);
            }
        }
    }

    fn numbers(&self, map: &mut Map<String, Value>) {
        let most = match (has_type(map, "number"), has_type(map, "integer")) {
            (true, _) => NUMBERS,
            (_, true) => INTEGERS,
            _ => return,
        };
        let bound = |map: &Map<String, Value>, keys: [&str; 2]| keys.iter().filter_map(|key| map.get(*key)).find_map(Value::as_f64);
        let (low, high) = (bound(map, ["minimum", "exclusiveMinimum"]), bound(map, ["maximum", "exclusiveMaximum"]));
        let number = |value: f64| if most == INTEGERS { json!(value as i64) } else { json!(value) };
        if low.is_none() && high.is_none_or(|high| high > -most) {
            map.insert("minimum".into(), number(-most));
        }
        if high.is_none() && low.is_none_or(|low| low < most) {
            map.insert("maximum".into(), number(most));
        }
    }

    fn objects(&self, map: &mut Map<String, Value>) {
        if !has_type(map, "object") || map.contains_key("additionalProperties") {
            return;
        }
        let named = |key: &str| map.get(key).and_then(Value::as_object).is_some_and(|named| !named.is_empty());
        let known = |name: &Value| name.as_str().is_some_and(|name| map.get("properties").is_some_and(|known| known.get(name).is_some()));
        let required = map.get("required").and_then(Value::as_array).is_none_or(|names| names.iter().all(known));
        let closed = (named("properties") || named("patternProperties")) && required && !map.contains_key("minProperties");
        match (closed, self.any) {
            (true, _) => map.insert("additionalProperties".into(), false.into()),
            (false, Some(name)) => map.insert("additionalProperties".into(), json!({ "$ref": reference(name) })),
            _ => None,
        };
    }

    fn arrays(&self, map: &mut Map<String, Value>) {
        if !has_type(map, "array") || map.contains_key("items") {
            return;
        }
        let first = map.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len) as u64;
        let least = map.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        match self.any {
            _ if first > 0 && least <= first => map.insert("items".into(), false.into()),
            Some(name) => map.insert("items".into(), json!({ "$ref": reference(name) })),
            None => None,
        };
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
