//! Keys of arguments. The template writes them as they are, without delimiters, so a key may hold any
//! character; it ends at the first colon behind which a value can begin.

use super::QUOTE;
use super::accepts::{Schema, properties};
use super::notation::Reader;
use super::scalar;

impl Reader<'_> {
    /// Reads a key and its separator. `plain` keys need no comma before them, but may hold no odd characters.
    pub(super) fn key(&mut self, schema: Schema<'_>, plain: bool) -> Option<String> {
        self.skip_space();
        if let Some((key, value)) = self.declared_key(schema, self.at) {
            let key = key.to_owned();
            self.at = value;
            return Some(key);
        }
        if self.is_quote(self.at) {
            let start = self.at + QUOTE.len();
            let end = self.next_quote(start)?;
            self.at = self.separator(end + QUOTE.len(), false)?;
            return Some(self.text[start..end].to_owned());
        }
        if let Some(quote @ (b'"' | b'\'')) = self.peek()
            && let Some(key) = self.quoted(quote, true)
        {
            self.at = self.separator(self.at, false)?;
            return Some(key);
        }
        if plain && !self.plain_key_at(self.at) {
            return None;
        }
        let end = self.bare_key_end()?;
        let key = self.text[self.at..end].trim().to_owned();
        self.at = end + 1;
        Some(key)
    }

    /// The longest key of the schema that stands at `at` with its separator, and where its value begins.
    pub(super) fn declared_key<'s>(&self, schema: Schema<'s>, at: usize) -> Option<(&'s str, usize)> {
        let rest = self.text.get(at..self.end)?;
        let names = properties(schema)?.keys().filter(|name| rest.starts_with(name.as_str()));
        let keys = names.filter_map(|name| Some((name.as_str(), self.separator(at + name.len(), true)?)));
        keys.max_by_key(|(name, _)| name.len())
    }

    /// Where what follows the separator at `at` begins. Between parentheses and behind a `known` key, `=` is one, too.
    fn separator(&self, at: usize, known: bool) -> Option<usize> {
        let at = at + self.space_len(at);
        match self.text.as_bytes()[..self.end].get(at)? {
            b':' => Some(at + 1),
            b'=' if known || self.closer() == Some(b')') => Some(at + 1),
            _ => None,
        }
    }

    /// Whether a key of ordinary characters stands at `at`.
    pub(super) fn plain_key_at(&self, at: usize) -> bool {
        let Some(rest) = self.text.get(at..self.end) else { return false };
        let odd = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '@' | '.'));
        let length = rest.find(odd).unwrap_or(rest.len());
        length > 0 && self.separator(at + length, false).is_some()
    }

    /// Where the separator of the key stands that begins here: the first behind which a value begins; if there is
    /// none up to the next comma or bracket, the first, whose value is then a word without delimiters.
    fn bare_key_end(&self) -> Option<usize> {
        let bound = self.next_quote(self.at).unwrap_or(self.end).min(self.end);
        let mut first = None;
        for (at, byte) in self.text.as_bytes()[..bound].iter().enumerate().skip(self.at) {
            match byte {
                b':' if self.value_begins(at + 1) => return Some(at),
                b'=' if self.closer() == Some(b')') => return first.or(Some(at)),
                b':' => first = first.or(Some(at)),
                b',' | b'}' | b']' | b'{' | b'[' if first.is_some() => return first,
                _ => {}
            }
        }
        first
    }

    /// Whether a value of the notation begins at `at`.
    fn value_begins(&self, at: usize) -> bool {
        let at = at + self.space_len(at);
        let rest = &self.text[at.min(self.end)..self.end];
        if self.is_quote(at) || rest.starts_with(['"', '\'', '{', '[']) {
            return true;
        }
        let length = rest.find([',', '}', ']', ')', ':', '<']).unwrap_or(rest.len());
        length < rest.len() && !rest[length..].starts_with([':', '<']) && scalar::is_value(rest[..length].trim_end())
    }

    /// Whether the text from `from` to the next comma, bracket or delimiter may hold a key.
    pub(super) fn key_in_segment(&self, from: usize) -> bool {
        let rest = self.text.get(from..self.end).unwrap_or_default();
        let end = rest.find([',', '}', ']']).unwrap_or(rest.len());
        let quoted = self.next_quote(from).is_some_and(|quote| quote <= from + end);
        quoted || rest[..end].contains(':')
    }
}
