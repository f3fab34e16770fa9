//! A schema on its way to the automaton: checked with places, then narrowed.

mod check;
mod narrow;
mod reference;

use crate::GrammarError;
use serde_json::{Map, Value, json};

/// Most nested schemas.
const DEPTH: usize = 64;
/// Most values of enumerations and required names together; a schema counts for eight.
const SIZE: usize = 20_000;
/// Most bytes of text in it.
const BYTES: usize = 1 << 20;
/// Schemas that are compiled to find the one at fault, of at most so many.
const LOOKS: (usize, usize) = (40, 200);

/// How the reasons begin of schemas that nothing fits.
const UNFIT: &str = "Unsatisfiable schema";

/// White space between the parts of an answer: a space, or a new line with an indent.
const SPACE: &str = r"[ ]|\n[ \t]{0,64}";

/// Keywords that hold schemas by name.
const NAMED: [&str; 4] = ["properties", "patternProperties", "$defs", "definitions"];
/// Keywords that hold a list of schemas.
const LISTED: [&str; 4] = ["anyOf", "oneOf", "allOf", "prefixItems"];
/// Keywords that hold one schema.
const SINGLE: [&str; 3] = ["items", "additionalProperties", "additionalItems"];

/// What the automaton is compiled of: the schema, its keywords checked, what it leaves open narrowed.
///
/// # Errors
/// [`GrammarError`], with the place as `#/properties/name`.
pub(crate) fn prepare(schema: &Value) -> Result<Value, GrammarError> {
    check::check(schema)?;
    let mut root = match schema {
        Value::Object(map) => map.clone(),
        // `true`, as `false` was refused.
        _ => Map::new(),
    };
    reference::resolve(&mut root)?;
    let mut root = Value::Object(root);
    narrow::narrow(&mut root);
    if let Value::Object(map) = &mut root {
        map.insert("x-guidance".into(), json!({ "whitespace_pattern": SPACE }));
    }
    Ok(root)
}

/// The place of the innermost schema that by itself fails for the same reason; where nothing fits, of the innermost that nothing fits.
pub(crate) fn locate(root: &Value, reason: &str, fails: &mut dyn FnMut(Value) -> Option<String>) -> String {
    let shared: Vec<(String, Value)> = ["$defs", "definitions", "$schema", "x-guidance"]
        .iter()
        .filter_map(|key| root.get(key).map(|value| (key.to_string(), value.clone())))
        .collect();
    let (mut place, mut at, mut looks) = ("#".to_string(), root, 0);
    if count(root) > LOOKS.1 {
        return place;
    }
    loop {
        let inner = children(at).into_iter().find(|(_, child)| {
            looks += 1;
            let Value::Object(map) = child else { return false };
            let alone: Map<String, Value> = map.clone().into_iter().chain(shared.clone()).collect();
            let same = |found: &str| found == reason || (found.starts_with(UNFIT) && reason.starts_with(UNFIT));
            looks <= LOOKS.0 && fails(Value::Object(alone)).is_some_and(|found| same(&found))
        });
        let Some((name, child)) = inner else { return place };
        place = format!("{place}/{name}");
        at = child;
    }
}

/// Schemas within one, itself counted.
fn count(schema: &Value) -> usize {
    1 + children(schema).into_iter().map(|(_, child)| count(child)).sum::<usize>()
}

/// Whether a schema says nothing of its values but by these keywords.
pub(crate) fn only(map: &Map<String, Value>, keys: &[&str]) -> bool {
    map.keys().all(|key| keys.contains(&key.as_str()) || !narrow::KNOWN.contains(&key.as_str()))
}

/// The schemas directly within one, and their places in it.
fn children(schema: &Value) -> Vec<(String, &Value)> {
    let Value::Object(map) = schema else { return Vec::new() };
    let mut found = Vec::new();
    for (key, value) in map {
        match value {
            Value::Object(named) if NAMED.contains(&key.as_str()) => {
                found.extend(named.iter().map(|(name, schema)| (format!("{key}/{}", escaped(name)), schema)));
            }
            Value::Array(list) if LISTED.contains(&key.as_str()) || key == "items" => {
                found.extend(list.iter().enumerate().map(|(i, schema)| (format!("{key}/{i}"), schema)));
            }
            value if SINGLE.contains(&key.as_str()) => found.push((key.clone(), value)),
            _ => {}
        }
    }
    found
}

/// The same, to change them.
fn children_mut(map: &mut Map<String, Value>) -> Vec<(&str, &mut Value)> {
    let mut found = Vec::new();
    for (key, value) in map.iter_mut() {
        let key = key.as_str();
        let one = SINGLE.contains(&key) && !value.is_array();
        match value {
            value if one => found.push((key, value)),
            Value::Object(named) if NAMED.contains(&key) => found.extend(named.iter_mut().map(|(_, schema)| (key, schema))),
            Value::Array(list) if LISTED.contains(&key) || key == "items" => found.extend(list.iter_mut().map(|schema| (key, schema))),
            _ => {}
        }
    }
    found
}

/// A name as a JSON pointer spells it.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
