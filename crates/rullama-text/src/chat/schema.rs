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
    let parameters = &function.parameters;
    if !parameters.is_empty() {
        out.text(",parameters:{");
        let mut first = true;
        if let Some(properties) = parameters.get("properties").and_then(Value::as_object).filter(|p| !p.is_empty()) {
            part(out, &mut first, "properties:{");
            write_properties(out, properties, false);
            out.text("}");
        }
        write_required(out, &mut first, parameters.get("required"));
        write_kind(out, &mut first, parameters);
        out.text("}");
    }
    if !function.response.is_empty() {
        out.text(",response:{");
        let mut first = true;
        write_description(out, &mut first, &function.response);
        write_kind(out, &mut first, &function.response);
        out.text("}");
    }
    out.text("}");
    out.special(END_TOOL);
}

/// `type:` of a whole schema, if it is one name.
fn write_kind(out: &mut Prompt, first: &mut bool, schema: &Map<String, Value>) {
    if let Some(kind) = schema.get("type").and_then(Value::as_str).filter(|kind| !kind.is_empty()) {
        part(out, first, "type:");
        string(out, &kind.to_uppercase());
    }
}

/// `name:{...},...`, sorted by name; without those named as schema keywords if `filter` is set.
fn write_properties(out: &mut Prompt, properties: &Map<String, Value>, filter: bool) {
    let schemas = sorted(properties).into_iter().filter(|(name, _)| !filter || !is_keyword(name));
    for (i, (name, schema)) in schemas.enumerate() {
        comma(out, i > 0);
        out.text(name);
        out.text(":{");
        write_property(out, schema);
        out.text("}");
    }
}

/// A property's schema; what is no object says nothing.
fn write_property(out: &mut Prompt, schema: &Value) {
    let nothing = Map::new();
    let members = schema.as_object().unwrap_or(&nothing);
    let mut first = true;
    write_description(out, &mut first, members);
    let kind = kind_of(members);
    match kind.as_str() {
        "STRING" => {
            if let Some(values) = members.get("enum").filter(|values| is_given(values)) {
                part(out, &mut first, "enum:");
                value(out, values, Keys::Quoted);
            }
        }
        "ARRAY" => {
            if let Some(items) = members.get("items").and_then(Value::as_object).filter(|items| !items.is_empty()) {
                part(out, &mut first, "items:{");
                write_items(out, items);
                out.text("}");
            }
        }
        _ => {}
    }
    if members.get("nullable").is_some_and(is_given) {
        part(out, &mut first, "nullable:true");
    }
    if kind == "OBJECT" {
        part(out, &mut first, "properties:{");
        match members.get("properties").and_then(Value::as_object) {
            Some(nested) => write_properties(out, nested, false),
            // Then the template takes the schema's other members for properties.
            None => write_properties(out, members, true),
        }
        out.text("}");
        write_required(out, &mut first, members.get("required"));
    }
    part(out, &mut first, "type:");
    string(out, &kind);
}

fn write_description(out: &mut Prompt, first: &mut bool, schema: &Map<String, Value>) {
    let description = schema.get("description").and_then(Value::as_str);
    if let Some(description) = description.filter(|d| !d.is_empty()) {
        part(out, first, "description:");
        string(out, description);
    }
}

/// The schema of an array's items: every key, sorted.
fn write_items(out: &mut Prompt, items: &Map<String, Value>) {
    let mut first = true;
    for (key, member) in sorted(items).into_iter().filter(|(_, member)| !member.is_null()) {
        match key {
            "properties" => {
                part(out, &mut first, "properties:{");
                if let Some(nested) = member.as_object() {
                    write_properties(out, nested, false);
                }
                out.text("}");
            }
            "required" => {
                part(out, &mut first, "required:[");
                write_strings(out, member);
                out.text("]");
            }
            "type" => {
                part(out, &mut first, "type:");
                match member {
                    Value::String(name) => string(out, &name.to_uppercase()),
                    list => value(out, &strings(list).map(str::to_uppercase).collect(), Keys::Quoted),
                }
            }
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

/// The upper-case type of a property; a union is the text of a Python list, and without a type the template
/// writes an empty name.
fn kind_of(schema: &Map<String, Value>) -> String {
    match schema.get("type") {
        Some(Value::String(name)) => name.to_uppercase(),
        Some(Value::Array(names)) => python_list(names.iter().filter_map(Value::as_str).map(str::to_uppercase)),
        _ => match union_of_bare_types(schema).as_deref() {
            None | Some([]) => String::new(),
            Some([one]) => one.clone(),
            Some(names) => python_list(names.iter().cloned()),
        },
    }
}

fn python_list(names: impl Iterator<Item = String>) -> String {
    let quoted: Vec<_> = names.map(|name| format!("'{name}'")).collect();
    format!("[{}]", quoted.join(", "))
}

/// `anyOf` branches that say nothing but a type amount to a union of types, of which the template does not know.
fn union_of_bare_types(schema: &Map<String, Value>) -> Option<Vec<String>> {
    const SAYS_MORE: [&str; 6] = ["anyOf", "items", "description", "enum", "properties", "required"];
    let mut names: Vec<String> = Vec::new();
    for branch in schema.get("anyOf")?.as_array()? {
        let branch = branch.as_object()?;
        let types = match branch.get("type")? {
            Value::String(name) => vec![name.to_uppercase()],
            list => strings(list).map(str::to_uppercase).collect(),
        };
        if types.is_empty() || SAYS_MORE.iter().any(|key| branch.contains_key(*key)) {
            return None;
        }
        names.extend(types);
    }
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Some(names)
}

fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str)
}

/// Whether the template counts a value as given.
fn is_given(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

/// Members in the template's order (`dictsort`): by their keys in lower case, equal ones as they come.
fn sorted(map: &Map<String, Value>) -> Vec<(&str, &Value)> {
    let mut members: Vec<_> = map.iter().map(|(key, value)| (key.as_str(), value)).collect();
    members.sort_by_cached_key(|(key, _)| key.to_lowercase());
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
