//! Calls of functions in Gemma 4's notation, `call:NAME{key:value,...}`, with arguments that keep to a schema.
//!
//! Texts stand between two tokens of the vocabulary and objects have bare keys, as models write them. What the notation has no
//! grammar of its own for here, such as patterns and alternatives, is JSON in its place: readers of the notation take both.

use crate::{GrammarError, schema};
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// A function that is called, and the schema of its arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    pub name: String,
    pub parameters: Value,
}

impl Function {
    /// Whether calls can be held to its parameters, as far as these alone tell.
    ///
    /// # Errors
    /// As [`check`](crate::check); a name that is none.
    pub fn check(&self) -> Result<(), GrammarError> {
        self.prepared().map(|_| ())
    }

    /// The schema of its arguments, as automata take it.
    fn prepared(&self) -> Result<Value, GrammarError> {
        let odd = |c: char| c.is_whitespace() || c.is_control() || "{}()<>\"".contains(c);
        if self.name.is_empty() || self.name.contains(odd) {
            let name = self.name.chars().take(60).collect();
            return Err(GrammarError::Function { name, reason: "it is no name of a function".into() });
        }
        let of = |error: GrammarError| GrammarError::Function { name: self.name.clone(), reason: error.to_string() };
        schema::prepare(&self.schema()).map_err(of)
    }

    /// The schema of an object.
    fn schema(&self) -> Value {
        match &self.parameters {
            Value::Object(map) if !map.is_empty() => {
                let mut map = map.clone();
                map.entry("type").or_insert_with(|| "object".into());
                map.into()
            }
            _ => json!({"type": "object", "properties": {}, "additionalProperties": false}),
        }
    }
}

/// A grammar in Lark's form, of a call of one of the functions; `quote` is the token around texts.
///
/// # Errors
/// As [`Function::check`].
pub(crate) fn lark(functions: &[Function], quote: u32) -> Result<String, GrammarError> {
    let mut rules = Rules { quote, text: String::new(), count: 0, shared: Map::new() };
    let mut calls = Vec::new();
    for function in functions {
        let prepared = function.prepared()?;
        let shared = ["$defs", "definitions", "x-guidance"].iter().filter_map(|key| Some((key.to_string(), prepared.get(key)?.clone())));
        rules.shared = shared.collect();
        let arguments = rules.value(&prepared, true);
        calls.push(format!("{} {arguments}", literal(&format!("call:{}", function.name))));
    }
    Ok(format!("start: {}\nTEXT: /(?s:.)+/\n{}", calls.join(" | "), rules.text))
}

struct Rules {
    quote: u32,
    text: String,
    count: usize,
    /// What a schema needs beside itself where it stands alone.
    shared: Map<String, Value>,
}

/// Keywords that the notation has grammars for, by type; others say nothing of a value.
const OBJECT: [&str; 4] = ["type", "properties", "required", "additionalProperties"];
const ARRAY: [&str; 4] = ["type", "items", "minItems", "maxItems"];

impl Rules {
    /// What stands for a value of a schema: the name of a rule.
    fn value(&mut self, schema: &Value, outermost: bool) -> String {
        let own = schema.as_object().and_then(|map| match map.get("type").and_then(Value::as_str) {
            _ if map.contains_key("const") || map.contains_key("enum") => self.listed(map),
            Some("object") => self.object(map),
            Some("array") => self.array(map),
            Some("string") if schema::only(map, &["type"]) => Some(self.delimited("TEXT?")),
            _ => None,
        });
        let body = own.unwrap_or_else(|| self.json(schema, outermost));
        self.rule(&body)
    }

    fn rule(&mut self, body: &str) -> String {
        let name = format!("r{}", self.count);
        self.count += 1;
        let _ = writeln!(self.text, "{name}: {body}");
        name
    }

    fn delimited(&self, inner: &str) -> String {
        format!("<[{0}]> {inner} <[{0}]>", self.quote)
    }

    /// One of some texts.
    fn listed(&self, map: &Map<String, Value>) -> Option<String> {
        let texts = match (map.get("const"), map.get("enum").and_then(Value::as_array)) {
            (Some(text), None) => vec![text.as_str()?],
            (None, Some(list)) => list.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?,
            _ => return None,
        };
        let plain = schema::only(map, &["type", "enum", "const"]) && map.get("type").is_none_or(|kind| kind == "string");
        let texts: Vec<String> = texts.into_iter().map(|text| self.delimited(&literal(text))).collect();
        (plain && !texts.is_empty()).then(|| texts.join(" | "))
    }

    /// An object of named members, in the order in which the models have seen them; those that are not required may be left out.
    fn object(&mut self, map: &Map<String, Value>) -> Option<String> {
        let empty = Map::new();
        let properties = map.get("properties").map_or(Some(&empty), Value::as_object)?;
        let plain = |name: &String| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_-$@.".contains(c));
        let closed = map.get("additionalProperties") == Some(&Value::Bool(false));
        if !schema::only(map, &OBJECT) || !closed || !properties.keys().all(plain) {
            return None;
        }
        let required: Vec<&str> = map.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        if required.iter().any(|name| !properties.contains_key(*name)) {
            return None;
        }
        let mut names: Vec<&String> = properties.keys().collect();
        names.sort_by_key(|name| name.to_lowercase());
        // From behind: what may follow where a member was written before, and where none was.
        let [mut more, mut first] = [r#""}""#, r#""}""#].map(str::to_owned);
        for name in names.into_iter().rev() {
            let value = self.value(&properties[name], false);
            let key = literal(&format!("{name}:"));
            let written = format!("{key} {value} {more}");
            let skipped = !required.contains(&name.as_str());
            let behind = if skipped { format!(r#""," {written} | {more}"#) } else { format!(r#""," {written}"#) };
            let alone = if skipped { format!("{written} | {first}") } else { written };
            more = self.rule(&behind);
            first = self.rule(&alone);
        }
        Some(format!(r#""{{" {first}"#))
    }

    fn array(&mut self, map: &Map<String, Value>) -> Option<String> {
        let items = map.get("items").filter(|items| items.is_object())?;
        let count = |key: &str| map.get(key).map_or(Some(None), |n| n.as_u64().map(Some));
        let (least, most) = (count("minItems")?.unwrap_or(0), count("maxItems")?);
        if !schema::only(map, &ARRAY) || most.is_some_and(|most| most == 0 || most < least || most > 1000) || least > 1000 {
            return None;
        }
        let item = self.value(items, false);
        let more = self.rule(&format!(r#""," {item}"#));
        let upper = most.map_or(String::new(), |most| (most - 1).to_string());
        let some = format!("{item} {more}{{{},{upper}}}", least.saturating_sub(1));
        Some(if least == 0 { format!(r#""[" ({some})? "]""#) } else { format!(r#""[" {some} "]""#) })
    }

    /// JSON of a schema. The outermost has what others need already.
    fn json(&self, schema: &Value, outermost: bool) -> String {
        let mut alone = schema.as_object().cloned().unwrap_or_default();
        if !outermost {
            self.shared.iter().for_each(|(key, value)| drop(alone.insert(key.clone(), value.clone())));
        }
        format!("%json {}", Value::Object(alone))
    }
}

/// A text in Lark's notation, which is JSON's.
fn literal(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
