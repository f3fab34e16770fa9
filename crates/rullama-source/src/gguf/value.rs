//! Metadata values, kept in the width that the file gives them, so that they can be written back.

/// Type ids of metadata values.
pub(crate) mod id {
    pub const U8: u32 = 0;
    pub const I8: u32 = 1;
    pub const U16: u32 = 2;
    pub const I16: u32 = 3;
    pub const U32: u32 = 4;
    pub const I32: u32 = 5;
    pub const F32: u32 = 6;
    pub const BOOL: u32 = 7;
    pub const STRING: u32 = 8;
    pub const ARRAY: u32 = 9;
    pub const U64: u32 = 10;
    pub const I64: u32 = 11;
    pub const F64: u32 = 12;
}

/// Smallest number of bytes that one element of a type takes in the file; `None` for other ids.
pub(crate) fn min_size(id: u32) -> Option<u64> {
    Some(match id {
        id::U8 | id::I8 | id::BOOL => 1,
        id::U16 | id::I16 => 2,
        id::U32 | id::I32 | id::F32 => 4,
        id::U64 | id::I64 | id::F64 | id::STRING => 8,
        _ => return None,
    })
}

/// One metadata value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(String),
    Array(Array),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// An array of one element type.
#[derive(Clone, Debug, PartialEq)]
pub enum Array {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    Bool(Vec<bool>),
    String(StringArray),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F64(Vec<f64>),
}

impl Value {
    /// Type id in the file.
    pub fn type_id(&self) -> u32 {
        match self {
            Self::U8(_) => id::U8,
            Self::I8(_) => id::I8,
            Self::U16(_) => id::U16,
            Self::I16(_) => id::I16,
            Self::U32(_) => id::U32,
            Self::I32(_) => id::I32,
            Self::F32(_) => id::F32,
            Self::Bool(_) => id::BOOL,
            Self::String(_) => id::STRING,
            Self::Array(_) => id::ARRAY,
            Self::U64(_) => id::U64,
            Self::I64(_) => id::I64,
            Self::F64(_) => id::F64,
        }
    }

    /// The type in words, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Array(array) => array.type_name(),
            scalar => SCALARS[scalar.type_id() as usize],
        }
    }

    /// A scalar integer of any width.
    pub(crate) fn as_integer(&self) -> Option<i128> {
        Some(match *self {
            Self::U8(v) => v.into(),
            Self::I8(v) => v.into(),
            Self::U16(v) => v.into(),
            Self::I16(v) => v.into(),
            Self::U32(v) => v.into(),
            Self::I32(v) => v.into(),
            Self::U64(v) => v.into(),
            Self::I64(v) => v.into(),
            _ => return None,
        })
    }

    /// A scalar number of any kind.
    pub(crate) fn as_float(&self) -> Option<f64> {
        match *self {
            Self::F32(v) => Some(v.into()),
            Self::F64(v) => Some(v),
            ref other => other.as_integer().map(|v| v as f64),
        }
    }
}

const SCALARS: [&str; 13] = ["u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"];
const ARRAYS: [&str; 13] = [
    "a u8 array",
    "an i8 array",
    "a u16 array",
    "an i16 array",
    "a u32 array",
    "an i32 array",
    "an f32 array",
    "a bool array",
    "a string array",
    "a nested array",
    "a u64 array",
    "an i64 array",
    "an f64 array",
];

impl Array {
    /// Element type id in the file.
    pub fn type_id(&self) -> u32 {
        match self {
            Self::U8(_) => id::U8,
            Self::I8(_) => id::I8,
            Self::U16(_) => id::U16,
            Self::I16(_) => id::I16,
            Self::U32(_) => id::U32,
            Self::I32(_) => id::I32,
            Self::F32(_) => id::F32,
            Self::Bool(_) => id::BOOL,
            Self::String(_) => id::STRING,
            Self::U64(_) => id::U64,
            Self::I64(_) => id::I64,
            Self::F64(_) => id::F64,
        }
    }

    /// The type in words, for messages.
    pub fn type_name(&self) -> &'static str {
        ARRAYS[self.type_id() as usize]
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(v) => v.len(),
            Self::I8(v) => v.len(),
            Self::U16(v) => v.len(),
            Self::I16(v) => v.len(),
            Self::U32(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::F32(v) => v.len(),
            Self::Bool(v) => v.len(),
            Self::String(v) => v.len(),
            Self::U64(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::F64(v) => v.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element `i` as a scalar; `None` for strings and beyond the end.
    pub(crate) fn scalar(&self, i: usize) -> Option<Value> {
        Some(match self {
            Self::U8(v) => Value::U8(*v.get(i)?),
            Self::I8(v) => Value::I8(*v.get(i)?),
            Self::U16(v) => Value::U16(*v.get(i)?),
            Self::I16(v) => Value::I16(*v.get(i)?),
            Self::U32(v) => Value::U32(*v.get(i)?),
            Self::I32(v) => Value::I32(*v.get(i)?),
            Self::F32(v) => Value::F32(*v.get(i)?),
            Self::Bool(v) => Value::Bool(*v.get(i)?),
            Self::U64(v) => Value::U64(*v.get(i)?),
            Self::I64(v) => Value::I64(*v.get(i)?),
            Self::F64(v) => Value::F64(*v.get(i)?),
            Self::String(_) => return None,
        })
    }
}

/// Many strings in one allocation: string `i` is `text[ends[i-1]..ends[i]]`.
///
/// A vocabulary of 262,144 tokens and 514,906 merges takes its bytes and 4 bytes a string, where a
/// `Vec<String>` would add 24 bytes and an allocation to each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StringArray {
    text: String,
    ends: Vec<u32>,
}

impl StringArray {
    /// Room for `count` strings; their text grows as it comes.
    pub fn with_capacity(count: usize) -> Self {
        Self { text: String::new(), ends: Vec::with_capacity(count) }
    }

    /// Appends a string; `false`, and nothing appended, when the whole text would pass 4 GiB.
    #[must_use]
    pub fn push(&mut self, string: &str) -> bool {
        let Ok(end) = u32::try_from(self.text.len() + string.len()) else { return false };
        self.text.push_str(string);
        self.ends.push(end);
        true
    }

    /// String `i`, if there is one.
    pub fn get(&self, i: usize) -> Option<&str> {
        let end = *self.ends.get(i)? as usize;
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        Some(&self.text[start..end])
    }

    /// Number of strings.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no string.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The strings in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|i| self.get(i).unwrap_or_default())
    }

    /// Bytes that this array holds on to.
    pub fn memory(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<u32>()
    }

    /// Gives spare capacity back.
    pub fn shrink_to_fit(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

impl<'a> FromIterator<&'a str> for StringArray {
    /// Collects strings of less than 4 GiB in all; the first that does not fit ends the array.
    fn from_iter<I: IntoIterator<Item = &'a str>>(strings: I) -> Self {
        let mut array = Self::default();
        for string in strings {
            if !array.push(string) {
                break;
            }
        }
        array
    }
}
