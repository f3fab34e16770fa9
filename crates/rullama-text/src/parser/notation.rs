//! The notation of tool calls, `call:NAME{k:v,...}`, and its near misses, in one pass.
//!
//! ```text
//! call    ["call:"] NAME ( object | "(" k "=" v, ... ")" | "(" object ")" | "(" v ")" )
//! object  "{" [k ":" v {"," k ":" v}] "}"
//! value   null, true, false, number, <|"|>text<|"|>, [v,...], object
//! ```
//!
//! Read besides: strings in other quotes or in none, Python's literals, a comma left out or one too
//! many, and what misses its end. Where the notation leaves a choice, the tool's schema decides: which
//! keys there are, and what is a string. A search that fails is remembered or ends the reading, so the
//! time is linear in the text.

use super::QUOTE;
use super::accepts::{Accepts, Schema, items, member, sole_argument};
use super::scalar;
use super::strings::unescaped;
use crate::chat::{FunctionCall, Tool};
use serde_json::{Map, Value};

/// Objects and arrays within each other.
const MAX_DEPTH: usize = 100;

/// A call that could be read.
pub(super) struct Reading {
    pub call: FunctionCall,
    /// Its end was missing.
    pub completed: bool,
}

/// Reads a call; special tokens delimit strings at `quotes`, or spelt delimiters do if there are none.
pub(super) fn read(text: &str, quotes: &[usize], tools: &[Tool]) -> Option<Reading> {
    let spelt: Vec<usize>;
    let quotes = if quotes.is_empty() {
        spelt = text.match_indices(QUOTE).map(|(at, _)| at).collect();
        &spelt
    } else {
        quotes
    };
    let mut reader = Reader { text, quotes, at: 0, end: text.trim_end().len(), closers: Vec::new(), completed: false, unclosed: [None; 4] };
    let call = reader.call(tools)?;
    Some(Reading { call, completed: reader.completed })
}

pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    quotes: &'a [usize],
    pub(super) at: usize,
    /// Where the text ends but for white space.
    pub(super) end: usize,
    /// What closes the objects and arrays that are open.
    closers: Vec<u8>,
    completed: bool,
    /// By [`search`]: no string has an end from some place on; whether a quote stood within it.
    unclosed: [Option<bool>; 4],
}

impl Reader<'_> {
    fn call(&mut self, tools: &[Tool]) -> Option<FunctionCall> {
        self.skip_space();
        let prefixed = self.text[self.at..].starts_with("call:");
        if prefixed {
            self.at += "call:".len();
        }
        self.skip_space();
        if self.peek() == Some(b'{') {
            return json_call(&self.text[self.at..]);
        }
        let rest = self.text.get(self.at..self.end)?;
        let open = rest.find(['{', '(']);
        let (name, tool) = resolve(&rest[..open.unwrap_or(rest.len())], tools);
        let is_word = |c: char| c.is_alphanumeric() || "_.:/-".contains(c);
        let valid = if prefixed { !name.contains(char::is_whitespace) } else { name.chars().all(is_word) };
        if name.is_empty() || (tool.is_none() && !valid) {
            return None;
        }
        let parameters = tool.map(|tool| &tool.function.parameters);
        let arguments = match open {
            None => {
                self.at = self.end;
                no_arguments(parameters?)?
            }
            Some(open) => {
                self.at += open + 1;
                if rest.as_bytes()[open] == b'{' { self.object(parameters, b'}')? } else { self.parenthesised(parameters)? }
            }
        };
        self.skip_space();
        if self.at < self.end || open.is_none() && !prefixed { None } else { Some(FunctionCall { index: 0, name, arguments }) }
    }

    /// Arguments behind `(`: by keyword, as one object, or the one that needs no key.
    fn parenthesised(&mut self, parameters: Schema<'_>) -> Option<Map<String, Value>> {
        self.skip_space();
        self.closers.push(b')');
        let start = self.at;
        let arguments = if self.peek() == Some(b'{') {
            self.at += 1;
            self.object(parameters, b'}')?
        } else if self.peek() == Some(b')') || self.key(parameters, false).is_some() {
            self.at = start;
            self.closers.pop();
            return self.object(parameters, b')');
        } else {
            self.at = start;
            let key = sole_argument(parameters?)?;
            let value = self.value(member(parameters, key), None)?;
            Map::from_iter([(key.to_owned(), value)])
        };
        self.skip_space();
        match self.peek() {
            Some(b')') => self.at += 1,
            Some(_) => return None,
            None => self.completed = true,
        }
        self.closers.pop();
        Some(arguments)
    }

    fn object(&mut self, schema: Schema<'_>, close: u8) -> Option<Map<String, Value>> {
        self.open(close)?;
        let mut members = Map::new();
        let mut comma_missing = false;
        while !self.closes(close) {
            let key = self.key(schema, comma_missing)?;
            let value = self.value(member(schema, &key), Some(schema))?;
            members.insert(key, value);
            comma_missing = !self.comma();
        }
        Some(members)
    }

    fn array(&mut self, schema: Schema<'_>) -> Option<Value> {
        self.open(b']')?;
        let mut values = Vec::new();
        let mut comma_missing = false;
        while !self.closes(b']') {
            if comma_missing && !self.is_quote(self.at) && !matches!(self.peek(), Some(b'{' | b'[' | b'"' | b'\'')) {
                return None;
            }
            values.push(self.value(items(schema), None)?);
            comma_missing = !self.comma();
        }
        Some(Value::Array(values))
    }

    fn open(&mut self, close: u8) -> Option<()> {
        self.closers.push(close);
        (self.closers.len() <= MAX_DEPTH).then_some(())
    }

    /// Whether the innermost object or array ends here, or with the text.
    fn closes(&mut self, close: u8) -> bool {
        self.skip_space();
        match self.peek() {
            None => self.completed = true,
            Some(byte) if byte == close => self.at += 1,
            Some(_) => return false,
        }
        self.closers.pop();
        true
    }

    fn comma(&mut self) -> bool {
        self.skip_space();
        let comma = self.peek() == Some(b',');
        self.at += usize::from(comma);
        self.skip_space();
        comma
    }

    /// A value; `object` is the schema of the object that it is a member of.
    fn value(&mut self, schema: Schema<'_>, object: Option<Schema<'_>>) -> Option<Value> {
        self.skip_space();
        if self.is_quote(self.at) {
            return Some(self.delimited().into());
        }
        let accepts = Accepts::of(schema);
        match self.peek()? {
            b'{' => {
                self.at += 1;
                self.object(schema, b'}').map(Value::Object)
            }
            b'[' => {
                self.at += 1;
                self.array(schema)
            }
            quote @ (b'"' | b'\'') => self.quoted_value(quote, accepts, object),
            _ => self.bare(accepts, object),
        }
    }

    fn delimited(&mut self) -> String {
        let start = self.at + QUOTE.len();
        match self.next_quote(start) {
            Some(end) => {
                self.at = end + QUOTE.len();
                self.text[start..end].to_owned()
            }
            None => self.rest(start).to_owned(),
        }
    }

    fn quoted_value(&mut self, quote: u8, accepts: Accepts, object: Option<Schema<'_>>) -> Option<Value> {
        if let Some(text) = self.quoted(quote, false) {
            // Models put a delimiter behind other quotes at times.
            self.at += if self.is_quote(self.at) { QUOTE.len() } else { 0 };
            return Some(text.into());
        }
        if accepts.declared_string() || quote == b'\'' {
            let value = self.bare(accepts, object)?;
            let text = value.as_str().and_then(|text| text.strip_prefix('"'));
            return Some(text.map(Value::from).unwrap_or(value));
        }
        let other_quotes = self.unclosed[search(quote, false)].unwrap_or_default();
        if other_quotes { None } else { Some(unescaped(self.rest(self.at + 1)).into()) }
    }

    /// The string in quotes that begins here, if it ends: at a quote behind which a value may end.
    pub(super) fn quoted(&mut self, quote: u8, is_key: bool) -> Option<String> {
        let search = search(quote, is_key);
        if self.unclosed[search].is_some() {
            return None;
        }
        let start = self.at + 1;
        let (mut escaped, mut other) = (false, false);
        for (i, &byte) in self.text.as_bytes()[..self.end].iter().enumerate().skip(start) {
            if byte == quote && !escaped {
                if self.ends_value(i + 1, is_key) {
                    self.at = i + 1;
                    return Some(unescaped(&self.text[start..i]));
                }
                other = true;
            }
            escaped = byte == b'\\' && !escaped;
        }
        self.unclosed[search] = Some(other);
        None
    }

    /// Text up to the end, which lacks its delimiter: what closes the open objects and arrays is not part of it.
    fn rest(&mut self, start: usize) -> &str {
        let text = &self.text[start.min(self.end)..self.end];
        let closing = |count: &usize| text.bytes().rev().take(*count).eq(self.closers.iter().rev().take(*count).rev().copied());
        let count = (0..=self.closers.len().min(text.len())).rev().find(closing).unwrap_or(0);
        self.completed = true;
        self.at = self.end - count;
        &text[..text.len() - count]
    }

    /// A value without delimiters.
    fn bare(&mut self, accepts: Accepts, object: Option<Schema<'_>>) -> Option<Value> {
        let stop = match object {
            Some(schema) if accepts.declared_string() => self.declared_end(schema),
            _ => self.word_end(),
        };
        let word = self.text[self.at..stop].trim();
        // A value, then a key without a comma between.
        if let Some((first, _)) = word.split_once(char::is_whitespace)
            && scalar::is_value(first)
            && !accepts.declared_string()
        {
            let next = self.at + first.len();
            if self.plain_key_at(next + self.space_len(next)) {
                self.at = next;
                return scalar::word(first, accepts);
            }
        }
        let mut value = scalar::word(word, accepts)?;
        let mut end = stop;
        if value.is_string() && object.is_some() && !accepts.declared_string() {
            while self.text.as_bytes().get(end) == Some(&b',') && !self.key_in_segment(end + 1) {
                end = self.word_end_from(end + 1);
            }
            value = self.text[self.at..end].trim().into();
        }
        if self.is_quote(end) {
            // A delimiter that nothing opened.
            end += QUOTE.len();
            if !self.ends_value(end, false) {
                return None;
            }
        }
        self.at = end;
        Some(value)
    }

    fn word_end(&self) -> usize {
        self.word_end_from(self.at)
    }

    /// Where a value without delimiters that begins at `from` ends.
    fn word_end_from(&self, from: usize) -> usize {
        let bound = self.next_quote(from).unwrap_or(self.end).min(self.end);
        let closes = |byte: u8| matches!(byte, b',' | b'}' | b']') || Some(byte) == self.closer();
        self.text.as_bytes()[from..bound].iter().position(|&byte| closes(byte)).map_or(bound, |length| from + length)
    }

    /// Where text ends that the schema calls a string: before the next key of the schema, or where its object
    /// closes; for the outermost object, that is the end of the call.
    fn declared_end(&self, schema: Schema<'_>) -> usize {
        let close = self.closer().unwrap_or(b'}');
        let outermost = self.closers.len() == 1;
        let last = self.text.as_bytes()[..self.end].last() == Some(&close) && self.end > self.at;
        let end = if outermost && last { self.end - 1 } else { self.end };
        let bound = self.next_quote(self.at).unwrap_or(end).min(end);
        let ends = |at: usize, byte: u8| match byte {
            b',' => self.declared_key(schema, at + 1 + self.space_len(at + 1)).is_some(),
            _ => !outermost && byte == close,
        };
        let bytes = self.text.as_bytes()[self.at..bound].iter().enumerate();
        bytes.map(|(i, &byte)| (self.at + i, byte)).find(|&(at, byte)| ends(at, byte)).map_or(bound, |(at, _)| at)
    }

    /// Whether a value may end at `at`: before a comma, a closing bracket, a delimiter, a key, or the end.
    fn ends_value(&self, at: usize, is_key: bool) -> bool {
        let at = at + self.space_len(at);
        let byte = self.text.as_bytes()[..self.end].get(at);
        match byte {
            None | Some(b',' | b'}' | b']' | b')') => !is_key,
            Some(b':') => is_key,
            Some(b'=') => is_key && self.closer() == Some(b')'),
            Some(_) => !is_key && (self.is_quote(at) || self.plain_key_at(at)),
        }
    }

    pub(super) fn closer(&self) -> Option<u8> {
        self.closers.last().copied()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes()[..self.end].get(self.at).copied()
    }

    pub(super) fn skip_space(&mut self) {
        self.at += self.space_len(self.at);
    }

    /// Length of the white space at `at`.
    pub(super) fn space_len(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        rest.len() - rest.trim_start().len()
    }

    pub(super) fn is_quote(&self, at: usize) -> bool {
        self.quotes.binary_search(&at).is_ok()
    }

    pub(super) fn next_quote(&self, from: usize) -> Option<usize> {
        self.quotes.get(self.quotes.partition_point(|&quote| quote < from)).copied()
    }
}

/// Which search for the end of a string: in which quotes, and behind a key or a value.
fn search(quote: u8, is_key: bool) -> usize {
    usize::from(quote == b'"') + 2 * usize::from(is_key)
}

/// The tool that a name means: itself, or what follows the last separator of a longer one.
fn resolve<'t>(text: &str, tools: &'t [Tool]) -> (String, Option<&'t Tool>) {
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
fn no_arguments(parameters: &Map<String, Value>) -> Option<Map<String, Value>> {
    let needs = parameters.get("required").and_then(Value::as_array).is_some_and(|required| !required.is_empty());
    if needs { None } else { Some(Map::new()) }
}

/// `{"name": ..., "arguments": {...}}`, as other models write calls.
fn json_call(text: &str) -> Option<FunctionCall> {
    let mut call: Map<String, Value> = serde_json::from_str(text).ok()?;
    let name = call.get("name")?.as_str()?.to_owned();
    let arguments = match call.remove("arguments").or_else(|| call.remove("parameters")) {
        None => Map::new(),
        Some(Value::Object(arguments)) => arguments,
        Some(Value::String(text)) => serde_json::from_str(&text).ok()?,
        Some(_) => return None,
    };
    Some(FunctionCall { index: 0, name, arguments })
}
