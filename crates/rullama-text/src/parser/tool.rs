//! Which tool a call means, and calls in forms of their own.

use super::QUOTE;
use crate::chat::{FunctionCall, Tool};
use serde_json::{Map, Value};

/// The tool that a name means: itself, or what follows the last separator of a longer one.
pub(super) fn resolve<'t>(text: &str, tools: &'t [Tool]) -> (String, Option<&'t Tool>) {
    let name = text.trim().trim_matches(['"', '\'']);
    let name = name.strip_prefix(QUOTE).and_then(|name| name.strip_suffix(QUOTE)).unwrap_or(name);
    let find = |name: &str| tools.iter().find(|tool| tool.function.name == name);
    let last = name.rsplit(['.', ':', '/']).next().unwrap_or_default();
    match find(name).or_else(|| find(last)) {
        Some(tool) => (tool.function.name.clone(), Some(tool)),
        None => (name.to_owned(), None),
    }
}

/// A tool named alone is called without arguments if it needs none.
pub(super) fn no_arguments(parameters: &Map<String, Value>) -> Option<Map<String, Value>> {
    let needs = parameters.get("required").and_then(Value::as_array).is_some_and(|required| !required.is_empty());
    if needs { None } else { Some(Map::new()) }
}

/// `{"name": ..., "arguments": {...}}`, also as a `function`, as other models write calls.
pub(super) fn json_call(text: &str) -> Option<FunctionCall> {
    let mut call: Map<String, Value> = serde_json::from_str(text).ok()?;
    if let Some(Value::Object(function)) = call.remove("function") {
        call = function;
    }
    let name = call.get("name")?.as_str()?.to_owned();
    let arguments = match call.remove("arguments").or_else(|| call.remove("parameters")) {
        None => Map::new(),
        Some(Value::Object(arguments)) => arguments,
        Some(Value::String(text)) => serde_json::from_str(&text).ok()?,
        Some(_) => return None,
    };
    Some(FunctionCall { index: 0, name, arguments })
}
