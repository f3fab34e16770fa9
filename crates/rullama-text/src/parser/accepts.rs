//! What a schema lets a value be: it decides how text without delimiters is read.

use serde_json::{Map, Value};

/// A schema, or nothing known.
pub(super) type Schema<'a> = Option<&'a Map<String, Value>>;

/// The types that a schema allows; none if it says nothing about them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Accepts {
    string: bool,
    number: bool,
    boolean: bool,
    /// Arrays, objects and null.
    other: bool,
}

impl Accepts {
    pub fn of(schema: Schema<'_>) -> Accepts {
        let mut accepts = Accepts::default();
        if let Some(schema) = schema {
            accepts.add(schema, 0);
        }
        accepts
    }

    fn add(&mut self, schema: &Map<String, Value>, depth: usize) {
        match schema.get("type") {
            Some(Value::String(name)) => self.add_type(name),
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).for_each(|name| self.add_type(name)),
            _ => {
                let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
                listed.chain(schema.get("const")).for_each(|value| self.add_value(value));
            }
        }
        for branches in ["anyOf", "oneOf"].iter().filter_map(|key| schema.get(*key)?.as_array()) {
            // Schemas nest as deep as JSON may; types are not looked for below a few levels.
            let branches = branches.iter().filter_map(Value::as_object).filter(|_| depth < 8);
            branches.for_each(|branch| self.add(branch, depth + 1));
        }
    }

    fn add_type(&mut self, name: &str) {
        match name.to_ascii_lowercase().as_str() {
            "string" => self.string = true,
            "number" | "integer" => self.number = true,
            "boolean" => self.boolean = true,
            "array" | "object" | "null" => self.other = true,
            _ => {}
        }
    }

    fn add_value(&mut self, value: &Value) {
        match value {
            Value::String(_) => self.string = true,
            Value::Number(_) => self.number = true,
            Value::Bool(_) => self.boolean = true,
            _ => self.other = true,
        }
    }

    fn unknown(self) -> bool {
        self == Accepts::default()
    }

    /// Text that is neither a number nor a literal may stand here.
    pub fn text(self) -> bool {
        self.string || self.unknown()
    }

    /// The schema asks for a string: what looks like a number is none.
    pub fn string_not_number(self) -> bool {
        self.string && !self.number
    }

    /// As [`Accepts::string_not_number`], for `true` and `false`.
    pub fn string_not_boolean(self) -> bool {
        self.string && !self.boolean
    }

    /// The schema says that text may stand here, so that commas may belong to it.
    pub fn declared_string(self) -> bool {
        self.string
    }

    pub fn declared_number(self) -> bool {
        self.number
    }
}

/// The properties that a schema declares.
pub(super) fn properties(schema: Schema<'_>) -> Schema<'_> {
    schema?.get("properties")?.as_object()
}

/// The schema of a member of an object.
pub(super) fn member<'a>(schema: Schema<'a>, key: &str) -> Schema<'a> {
    let declared = properties(schema).and_then(|properties| properties.get(key));
    declared.or_else(|| schema?.get("additionalProperties"))?.as_object()
}

/// The schema of an array's items.
pub(super) fn items(schema: Schema<'_>) -> Schema<'_> {
    schema?.get("items")?.as_object()
}

/// The only argument that a value without a key can mean: the one that is required, or the only one.
pub(super) fn sole_argument(parameters: &Map<String, Value>) -> Option<&str> {
    let properties = parameters.get("properties")?.as_object()?;
    let required: Vec<&str> =
        parameters.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    match required[..] {
        [one] => Some(one),
        _ if properties.len() == 1 => properties.keys().next().map(String::as_str),
        _ => None,
    }
}
