//! The form that a request wants its answer in.

use super::Failure;
use crate::serve::host::AnswerFormat;
use rullama::{Error, Format};
use serde_json::Value;

/// Of Ollama's `format`: `"json"` or a schema.
///
/// # Errors
/// Another value; a schema that cannot be kept.
pub fn ollama(format: Option<&Value>) -> Result<Option<AnswerFormat>, Failure> {
    let format = match format {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        // Clients send it as text, too.
        Some(Value::String(text)) if text.trim_start().starts_with('{') => serde_json::from_str(text).unwrap_or_default(),
        Some(value) => value.clone(),
    };
    checked(format, "format").map(Some)
}

/// Of OpenAI's `response_format` and `text.format`, which stand in `field`: `strict` or not, a schema is kept to.
///
/// # Errors
/// Another type; a schema that is missing or cannot be kept.
pub fn openai(format: Option<&Value>, field: &'static str) -> Result<Option<AnswerFormat>, Failure> {
    let Some(format) = format.filter(|format| !format.is_null()) else { return Ok(None) };
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(AnswerFormat { format: Format::Json, field })),
        Some("json_schema") => {
            // The chat has it a level below, the responses have not.
            let schema = format.get("json_schema").unwrap_or(format).get("schema").filter(|schema| !schema.is_null());
            let missing = || Failure::field(field, "has no `schema`: give the JSON schema that the answer is to have.");
            checked(schema.ok_or_else(missing)?.clone(), field).map(Some)
        }
        _ => Err(Failure::field(field, "must have the type \"text\", \"json_object\" or \"json_schema\".")),
    }
}

fn checked(value: Value, field: &'static str) -> Result<AnswerFormat, Failure> {
    let format = Format::try_from(value).map_err(|reason| Failure::field(field, format!("{reason}.")))?;
    let form = AnswerFormat { format, field };
    form.format.check().map_err(|error| of_error(&form, &error).unwrap_or_else(|| Failure::from(&error)))?;
    Ok(form)
}

/// An error that speaks of the form, under the name that its request has for it.
pub fn of_error(form: &AnswerFormat, error: &Error) -> Option<Failure> {
    match error {
        Error::InvalidArgument { name: "format", reason, .. } => Some(Failure::field(form.field, format!("{reason}."))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn forms_of_both_apis() {
        let schema = json!({"type": "object"});
        let format = |form: Result<Option<AnswerFormat>, Failure>| form.unwrap().map(|form| form.format);
        let wanted = Some(Format::Schema(schema.clone()));
        assert_eq!(format(ollama(Some(&schema))), wanted);
        assert_eq!(format(ollama(Some(&schema.to_string().into()))), wanted);
        assert_eq!(format(ollama(Some(&"json".into()))), Some(Format::Json));
        assert_eq!(format(ollama(Some(&"".into()))), None);
        let chat = json!({"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": schema}});
        assert_eq!(format(openai(Some(&chat), "response_format")), wanted);
        let response = json!({"type": "json_schema", "name": "n", "schema": schema});
        assert_eq!(format(openai(Some(&response), "text.format")), wanted);
        assert_eq!(format(openai(Some(&json!({"type": "json_object"})), "text.format")), Some(Format::Json));
        assert_eq!(format(openai(Some(&json!({"type": "text"})), "text.format")), None);
    }

    #[test]
    fn what_cannot_be_kept_is_named() {
        for bad in [json!("xml"), json!("{no json"), json!(3), json!(false), json!({"not": {}}), json!({"type": "text"})] {
            let failure = ollama(Some(&bad)).err().unwrap_or_else(|| panic!("{bad} is taken"));
            assert_eq!((failure.status.as_u16(), failure.field.as_deref()), (400, Some("format")), "{bad}");
        }
        let schema = json!({"type": "object", "properties": {"a": {"uniqueItems": true}}});
        let failure = openai(Some(&json!({"type": "json_schema", "json_schema": {"schema": schema}})), "response_format").err().unwrap();
        assert_eq!(failure.field.as_deref(), Some("response_format"));
        assert!(failure.message.contains("`uniqueItems` at #/properties/a"), "{}", failure.message);
        for bad in
            [json!({"type": "json_schema"}), json!({"type": "json_schema", "json_schema": {}}), json!({"type": "grammar"}), json!("json")]
        {
            assert_eq!(openai(Some(&bad), "response_format").err().and_then(|failure| failure.field).as_deref(), Some("response_format"));
        }
    }
}
