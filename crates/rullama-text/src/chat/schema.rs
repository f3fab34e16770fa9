//! Values and tool declarations in the template's own notation.

use serde_json::{Map, Number, Value};

use super::render::Prompt;
use super::types::FunctionDeclaration;

const TOOL: &str = "<|tool>";
const END_TOOL: &str = "<tool|>";
const QUOTE: &str = "<|\"|>";

/// How the keys of an object are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// `k:v`, in calls and responses.
    Bare,
    /// `<|"|>k<|"|>:v`, in schemas.
    Quoted,
}

/// Where a property stands: those under `items` write a union of types as a list, those of the
/// declaration itself as the text of a Python list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Declaration,
    Items,
}

/// `<|"|>text<|"|>`; nothing is escaped.
pub(super) fn string(out: &mut Prompt, text: &str) {
    out.special(QUOTE);
    out.text(text);
    out.special(QUOTE);
}

/// `{k:v,...}`, sorted by key.
pub(super) fn object(out: &mut Prompt, map: &Map<String, Value>, keys: Keys) {
    out.text("{");
    for (i, (key, member)) in sorted(map).into_iter().enumerate() {
        comma(out, i > 0);
        match keys {
            Keys::Bare => out.text(key),
            Keys::Quoted => string(out, key),
        }
        out.text(":");
        value(out, member, keys);
    }
    out.text("}");
}

fn value(out: &mut Prompt, value_: &Value, keys: Keys) {
    match value_ {
        Value::Null => out.text("null"),
        Value::Bool(flag) => out.text(if *flag { "true" } else { "false" }),
        Value::Number(number) => out.text(&number_text(number)),
        Value::String(text) => string(out, text),
        Value::Array(items) => {
            out.text("[");
            for (i, item) in items.iter().enumerate() {
                comma(out, i > 0);
                value(out, item, keys);
            }
            out.text("]");
        }
        Value::Object(map) => object(out, map, keys),
    }
}

/// Integral numbers without a point; others as Go's `%v` writes them.
fn number_text(number: &Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else {
        return number.to_string();
    };
    if float.fract() == 0.0 && float.abs() < 9e18 {
        return (float as i64).to_string();
    }
    if (1e-4..1e21).contains(&float.abs()) {
        return float.to_string();
    }
    let text = format!("{float:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = match exponent.strip_prefix('-') {
                Some(digits) => ('-', digits),
                None => ('+', exponent),
            };
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        None => text,
    }
}

/// `<|tool>declaration:NAME{description:...,parameters:{...}}<tool|>`.
pub(super) fn declaration(out: &mut Prompt, function: &FunctionDeclaration) {
    out.special(TOOL);
    out.text("declaration:");
    out.text(&function.name);
    out.text("{description:");
    string(out, &function.description);
    let properties = function.parameters.get("properties").and_then(Value::as_object);
    let kind = function.parameters.get("type").and_then(Value::as_str).filter(|k| !k.is_empty());
    if properties.is_some() || kind.is_some() {
        out.text(",parameters:{");
        let mut first = true;
        if let Some(properties) = properties.filter(|p| !p.is_empty()) {
            part(out, &mut first, "properties:{");
            write_properties(out, properties, Place::Declaration);
            out.text("}");
        }
        write_required(out, &mut first, function.parameters.get("required"));
        if let Some(kind) = kind {
            part(out, &mut first, "type:");
            string(out, &kind.to_uppercase());
        }
        out.text("}");
    }
    out.text("}");
    out.special(END_TOOL);
}

/// `name:{...},...`, sorted by name. The template takes properties that bear a schema keyword's
/// name for that keyword and leaves them out.
fn write_properties(out: &mut Prompt, properties: &Map<String, Value>, place: Place) {
    let schemas = sorted(properties).into_iter().filter(|(name, _)| !is_keyword(name));
    let schemas = schemas.filter_map(|(name, schema)| Some((name, schema.as_object()?)));
    for (i, (name, schema)) in schemas.enumerate() {
        comma(out, i > 0);
        out.text(name);
        out.text(":{");
        write_property(out, schema, place);
        out.text("}");
    }
}

fn write_property(out: &mut Prompt, schema: &Map<String, Value>, place: Place) {
    let mut first = true;
    let description = schema.get("description").and_then(Value::as_str);
    if let Some(description) = description.filter(|d| !d.is_empty()) {
        part(out, &mut first, "description:");
        string(out, description);
    }
    let types = types_of(schema, place);
    match types.first().map(String::as_str) {
        Some("STRING") => write_enum(out, &mut first, schema),
        Some("ARRAY") => {
            let items = schema.get("items").and_then(Value::as_object);
            if let Some(items) = items.filter(|items| !items.is_empty()) {
                part(out, &mut first, "items:{");
                write_items(out, items);
                out.text("}");
            }
        }
        _ => {}
    }
    if schema.get("nullable") == Some(&Value::Bool(true)) {
        part(out, &mut first, "nullable:true");
    }
    if types.first().is_some_and(|t| t == "OBJECT") {
        part(out, &mut first, "properties:{");
        match schema.get("properties").and_then(Value::as_object) {
            Some(nested) => write_properties(out, nested, place),
            None if place == Place::Items => write_properties(out, schema, place),
            None => {}
        }
        out.text("}");
        write_required(out, &mut first, schema.get("required"));
    }
    write_type(out, &mut first, &types);
}

fn write_enum(out: &mut Prompt, first: &mut bool, schema: &Map<String, Value>) {
    let values = schema.get("enum").and_then(Value::as_array).filter(|values| !values.is_empty());
    let Some(values) = values else { return };
    part(out, first, "enum:[");
    for (i, value) in values.iter().enumerate() {
        comma(out, i > 0);
        match value {
            Value::String(text) => string(out, text),
            Value::Number(number) => string(out, &number_text(number)),
            other => string(out, &other.to_string()),
        }
    }
    out.text("]");
}

/// The schema of an array's items: every key, sorted.
fn write_items(out: &mut Prompt, items: &Map<String, Value>) {
    let mut first = true;
    for (key, member) in sorted(items).into_iter().filter(|(_, member)| !member.is_null()) {
        match key {
            "properties" => {
                part(out, &mut first, "properties:{");
                if let Some(nested) = member.as_object() {
                    write_properties(out, nested, Place::Items);
                }
                out.text("}");
            }
            "required" => {
                part(out, &mut first, "required:[");
                write_strings(out, member);
                out.text("]");
            }
            "type" => write_type(out, &mut first, &upper_names(member)),
            _ => {
                part(out, &mut first, key);
                out.text(":");
                value(out, member, Keys::Quoted);
            }
        }
    }
}

fn write_required(out: &mut Prompt, first: &mut bool, required: Option<&Value>) {
    if let Some(required) = required.filter(|r| strings(r).next().is_some()) {
        part(out, first, "required:[");
        write_strings(out, required);
        out.text("]");
    }
}

fn write_strings(out: &mut Prompt, list: &Value) {
    for (i, text) in strings(list).enumerate() {
        comma(out, i > 0);
        string(out, text);
    }
}

fn write_type(out: &mut Prompt, first: &mut bool, types: &[String]) {
    match types {
        [] => {}
        [one] => {
            part(out, first, "type:");
            string(out, one);
        }
        many => {
            part(out, first, "type:[");
            for (i, name) in many.iter().enumerate() {
                comma(out, i > 0);
                string(out, name);
            }
            out.text("]");
        }
    }
}

/// The upper-case type names of a property; a union in a declaration is one name that spells a
/// Python list.
fn types_of(schema: &Map<String, Value>, place: Place) -> Vec<String> {
    let mut types = schema.get("type").map(upper_names).unwrap_or_default();
    if place == Place::Declaration {
        if types.is_empty() {
            types = union_of_bare_types(schema).unwrap_or_default();
        }
        if types.len() > 1 {
            let quoted: Vec<_> = types.iter().map(|name| format!("'{name}'")).collect();
            return vec![format!("[{}]", quoted.join(", "))];
        }
    }
    types
}

/// `anyOf` branches that say nothing but a type amount to a union of types.
fn union_of_bare_types(schema: &Map<String, Value>) -> Option<Vec<String>> {
    const SAYS_MORE: [&str; 6] = ["anyOf", "items", "description", "enum", "properties", "required"];
    let mut names: Vec<String> = Vec::new();
    for branch in schema.get("anyOf")?.as_array()? {
        let branch = branch.as_object()?;
        let types = branch.get("type").map(upper_names).filter(|types| !types.is_empty())?;
        if SAYS_MORE.iter().any(|key| branch.contains_key(*key)) {
            return None;
        }
        for name in types {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    Some(names)
}

fn upper_names(value: &Value) -> Vec<String> {
    match value {
        Value::String(name) => vec![name.to_uppercase()],
        list => strings(list).map(str::to_uppercase).collect(),
    }
}

fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str)
}

fn sorted(map: &Map<String, Value>) -> Vec<(&str, &Value)> {
    let mut members: Vec<_> = map.iter().map(|(key, value)| (key.as_str(), value)).collect();
    members.sort_unstable_by_key(|(key, _)| *key);
    members
}

fn is_keyword(name: &str) -> bool {
    matches!(name, "description" | "type" | "properties" | "required" | "nullable")
}

fn comma(out: &mut Prompt, needed: bool) {
    if needed {
        out.text(",");
    }
}

/// Begins a part of a comma-separated list.
fn part(out: &mut Prompt, first: &mut bool, text: &str) {
    comma(out, !std::mem::take(first));
    out.text(text);
}
