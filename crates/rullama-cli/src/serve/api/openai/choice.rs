//! `tools` and `tool_choice`: which tools a model is shown, and which it must call.

use super::wire::{Common, tools};
use crate::serve::api::Failure;
use rullama::{Error, ForcedCall, Tool};
use serde_json::Value;

/// The field, in every request.
const FIELD: &str = "tool_choice";

/// The tools that a model is shown, and the call that its answer must have.
///
/// # Errors
/// A choice of another form, or one that a model cannot be held to, by the name of the tool.
pub fn tools_of(common: &Common, list: Option<Vec<Value>>) -> Result<(Vec<Tool>, Option<ForcedCall>), Failure> {
    let tools = tools(list)?;
    let forced = match &common.tool_choice {
        None | Some(Value::Null) => None,
        Some(Value::String(choice)) if choice == "auto" => None,
        Some(Value::String(choice)) if choice == "none" => return Ok((Vec::new(), None)),
        Some(Value::String(choice)) if choice == "required" => {
            if tools.is_empty() {
                return Err(Failure::field(FIELD, "is \"required\", but there are no `tools`. Offer one, or leave it out."));
            }
            Some(ForcedCall { tools: tools.clone(), once: false })
        }
        Some(choice) => Some(ForcedCall { tools: vec![named(choice, &tools)?], once: true }),
    };
    forced.as_ref().map_or(Ok(()), ForcedCall::check).map_err(|error| of_error(&error).unwrap_or_else(|| Failure::from(&error)))?;
    Ok((tools, forced))
}

/// The one function that a choice names; the responses have its name a level higher than the chat.
fn named(choice: &Value, tools: &[Tool]) -> Result<Tool, Failure> {
    let name = choice.get("function").unwrap_or(choice).get("name").and_then(Value::as_str);
    let function = choice.get("type").and_then(Value::as_str) == Some("function");
    let Some(name) = name.filter(|_| function) else {
        let forms = "must be \"auto\", \"none\", \"required\" or a function by its name: {\"type\": \"function\", \"function\": {\"name\": \"...\"}}.";
        return Err(Failure::field(FIELD, forms));
    };
    let found = tools.iter().find(|tool| tool.function.name == name);
    let shown: String = name.chars().take(60).collect();
    found.cloned().ok_or_else(|| Failure::field(FIELD, format!("names `{shown}`, which is not among the `tools`.")))
}

/// An error that speaks of the call.
fn of_error(error: &Error) -> Option<Failure> {
    match error {
        Error::InvalidArgument { name: FIELD, value, reason } => Some(Failure::field(FIELD, format!("is {value}, which {reason}."))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(choice: Value, tools: Value) -> Result<(Vec<Tool>, Option<ForcedCall>), Failure> {
        let common: Common = serde_json::from_value(json!({"model": "m", "tool_choice": choice})).unwrap();
        tools_of(&common, serde_json::from_value(tools).unwrap())
    }

    #[test]
    fn choices() {
        let tools = json!([{"type": "function", "function": {"name": "a"}}, {"type": "function", "name": "b", "parameters": {"type": "object", "properties": {}}}]);
        let told = |choice: Value| {
            of(choice, tools.clone()).map(|(shown, forced)| (shown.len(), forced.map(|forced| (forced.tools.len(), forced.once))))
        };
        assert_eq!(told(json!("auto")), Ok((2, None)));
        assert_eq!(told(Value::Null), Ok((2, None)));
        assert_eq!(told(json!("none")), Ok((0, None)));
        assert_eq!(told(json!("required")), Ok((2, Some((2, false)))));
        assert_eq!(told(json!({"type": "function", "function": {"name": "a"}})), Ok((2, Some((1, true)))));
        assert_eq!(told(json!({"type": "function", "name": "b"})), Ok((2, Some((1, true)))));
    }

    #[test]
    fn what_cannot_be_forced_is_named() {
        let tools =
            json!([{"type": "function", "function": {"name": "a", "parameters": {"type": "object", "properties": {"x": {"not": {}}}}}}]);
        for (choice, part) in [
            (json!("some"), "\"required\""),
            (json!(3), "\"required\""),
            (json!({"type": "function", "function": {"name": "b"}}), "`b`, which is not among"),
            (json!({"type": "file_search"}), "\"required\""),
            (json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}), "\"required\""),
            (json!("required"), "`a`"),
            (json!("required"), "`not` at #/properties/x"),
        ] {
            let failure = of(choice.clone(), tools.clone()).unwrap_err();
            assert_eq!(failure.field.as_deref(), Some(FIELD), "{choice}");
            assert!(failure.message.contains(part), "{choice}: {}", failure.message);
        }
        assert!(of(json!("required"), json!([])).unwrap_err().message.contains("no `tools`"));
        assert!(of(json!("auto"), tools).is_ok());
    }
}
