//! Metadata in file order with access by key, lenient where converters differ.
//!
//! The same key comes as u32 or i32, as a scalar or as an array with one value per layer, depending
//! on the program that wrote the file; the accessors accept every width whose value fits.

use super::{
    error::{GgufError, MetadataError},
    value::{Array, StringArray, Value},
};

/// Key-value pairs of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    entries: Vec<(String, Value)>,
    /// Indices into `entries`, sorted by key.
    order: Vec<u32>,
}

type Found<T> = Result<T, MetadataError>;

impl Metadata {
    /// From pairs in file order.
    ///
    /// # Errors
    /// [`GgufError::Duplicate`].
    pub fn from_entries(entries: Vec<(String, Value)>) -> Result<Self, GgufError> {
        let mut order: Vec<u32> = (0..entries.len() as u32).collect();
        order.sort_unstable_by(|&a, &b| entries[a as usize].0.cmp(&entries[b as usize].0));
        let key = |i: u32| &entries[i as usize].0;
        if let Some(pair) = order.windows(2).find(|pair| key(pair[0]) == key(pair[1])) {
            return Err(GgufError::Duplicate { kind: "metadata key", name: key(pair[0]).clone() });
        }
        Ok(Self { entries, order })
    }

    fn position(&self, key: &str) -> Result<usize, usize> {
        self.order.binary_search_by(|&i| self.entries[i as usize].0.as_str().cmp(key))
    }

    /// The value of `key` as it stands in the file.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let at = self.position(key).ok()?;
        Some(&self.entries[self.order[at] as usize].1)
    }

    /// Whether `key` is there.
    pub fn contains(&self, key: &str) -> bool {
        self.position(key).is_ok()
    }

    /// Sets `key`, in its old place or at the end.
    pub fn set(&mut self, key: impl Into<String>, value: Value) {
        let key = key.into();
        match self.position(&key) {
            Ok(at) => self.entries[self.order[at] as usize].1 = value,
            Err(at) => {
                self.order.insert(at, self.entries.len() as u32);
                self.entries.push((key, value));
            }
        }
    }

    /// Takes `key` out, so that its memory can be given back.
    pub fn take(&mut self, key: &str) -> Option<Value> {
        let index = self.order.remove(self.position(key).ok()?);
        for other in &mut self.order {
            *other -= u32::from(*other > index);
        }
        Some(self.entries.remove(index as usize).1)
    }

    /// Pairs in file order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn value(&self, key: &str) -> Found<&Value> {
        self.get(key).ok_or_else(|| MetadataError::Missing { key: key.to_owned() })
    }

    /// The scalar of `key`; an array of length one counts as one.
    fn scalar<T>(&self, key: &str, expected: &'static str, convert: impl Fn(&Value) -> Option<T>) -> Found<T> {
        let value = self.value(key)?;
        let found = match value {
            Value::Array(array) if array.len() == 1 => array.scalar(0),
            Value::Array(_) | Value::String(_) => None,
            scalar => Some(scalar.clone()),
        };
        let Some(scalar) = found else { return Err(wrong_type(key, expected, value)) };
        convert(&scalar).ok_or_else(|| unfit(key, expected, &scalar))
    }

    /// All elements of `key`; a scalar counts as an array of length one.
    fn array<T>(&self, key: &str, expected: &'static str, convert: impl Fn(&Value) -> Option<T>) -> Found<Vec<T>> {
        let value = self.value(key)?;
        let array = match value {
            Value::Array(Array::String(_)) | Value::String(_) => {
                return Err(wrong_type(key, expected, value));
            }
            Value::Array(array) => array,
            scalar => return Ok(vec![convert(scalar).ok_or_else(|| unfit(key, expected, scalar))?]),
        };
        (0..array.len())
            .filter_map(|i| array.scalar(i))
            .map(|element| convert(&element).ok_or_else(|| unfit(key, expected, &element)))
            .collect()
    }

    /// A number in 0..2^32, stored in any integer width.
    ///
    /// # Errors
    /// [`MetadataError`] naming the key; so for every accessor here.
    pub fn u32(&self, key: &str) -> Found<u32> {
        self.scalar(key, "an integer from 0 to 2^32-1", |v| v.as_integer()?.try_into().ok())
    }

    /// A number in 0..2^64, stored in any integer width.
    #[allow(clippy::missing_errors_doc)]
    pub fn u64(&self, key: &str) -> Found<u64> {
        self.scalar(key, "an integer from 0 to 2^64-1", |v| v.as_integer()?.try_into().ok())
    }

    /// A number, stored as float or integer.
    #[allow(clippy::missing_errors_doc)]
    pub fn f32(&self, key: &str) -> Found<f32> {
        self.scalar(key, "a number", |v| Some(v.as_float()? as f32))
    }

    /// A truth value, stored as bool or as the integers 0 and 1.
    #[allow(clippy::missing_errors_doc)]
    pub fn bool(&self, key: &str) -> Found<bool> {
        self.scalar(key, "true or false", as_bool)
    }

    /// A string.
    #[allow(clippy::missing_errors_doc)]
    pub fn str(&self, key: &str) -> Found<&str> {
        match self.value(key)? {
            Value::String(string) => Ok(string),
            other => Err(wrong_type(key, "a string", other)),
        }
    }

    /// Numbers in 0..2^32; a scalar gives one.
    #[allow(clippy::missing_errors_doc)]
    pub fn u32_array(&self, key: &str) -> Found<Vec<u32>> {
        self.array(key, "integers from 0 to 2^32-1", |v| v.as_integer()?.try_into().ok())
    }

    /// Numbers in -2^31..2^31; a scalar gives one.
    #[allow(clippy::missing_errors_doc)]
    pub fn i32_array(&self, key: &str) -> Found<Vec<i32>> {
        self.array(key, "integers from -2^31 to 2^31-1", |v| v.as_integer()?.try_into().ok())
    }

    /// Numbers; a scalar gives one.
    #[allow(clippy::missing_errors_doc)]
    pub fn f32_array(&self, key: &str) -> Found<Vec<f32>> {
        self.array(key, "numbers", |v| Some(v.as_float()? as f32))
    }

    /// Truth values; a scalar gives one.
    #[allow(clippy::missing_errors_doc)]
    pub fn bool_array(&self, key: &str) -> Found<Vec<bool>> {
        self.array(key, "truth values", as_bool)
    }

    /// A string array.
    #[allow(clippy::missing_errors_doc)]
    pub fn strings(&self, key: &str) -> Found<&StringArray> {
        match self.value(key)? {
            Value::Array(Array::String(strings)) => Ok(strings),
            other => Err(wrong_type(key, "a string array", other)),
        }
    }

    /// A string array, moved out, so that the reader decides how long its memory lives.
    #[allow(clippy::missing_errors_doc)]
    pub fn take_strings(&mut self, key: &str) -> Found<StringArray> {
        self.strings(key)?;
        match self.take(key) {
            Some(Value::Array(Array::String(strings))) => Ok(strings),
            _ => Err(MetadataError::Missing { key: key.to_owned() }),
        }
    }
}

fn as_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(v) => Some(*v),
        other => match other.as_integer()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
    }
}

fn wrong_type(key: &str, expected: &'static str, value: &Value) -> MetadataError {
    MetadataError::WrongType { key: key.to_owned(), expected, found: value.type_name() }
}

/// The error for a scalar that did not convert: out of range where it is a number, else the type.
fn unfit(key: &str, expected: &'static str, value: &Value) -> MetadataError {
    match value.as_integer() {
        Some(number) => MetadataError::OutOfRange { key: key.to_owned(), value: number.to_string(), expected },
        None => wrong_type(key, expected, value),
    }
}
