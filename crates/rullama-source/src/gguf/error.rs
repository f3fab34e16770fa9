//! Errors of the container and of its metadata.

use crate::source::SourceError;

/// Why a GGUF file is refused, with the field or tensor and where it stands.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GgufError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The first four bytes are not `GGUF`.
    #[error(
        "{name}: not a GGUF file (it starts with {magic:02x?}). \
         Give a .gguf file or a name from Ollama's store."
    )]
    NotGguf { name: String, magic: [u8; 4] },
    /// The file's integers are big-endian.
    #[error("{name}: a big-endian GGUF file, which is not supported. Get the little-endian one.")]
    BigEndian { name: String },
    /// A version other than 2 and 3.
    #[error("{name}: GGUF version {version}; versions 2 and 3 can be read. Convert it anew.")]
    Version { name: String, version: u32 },
    /// The file ends within its header.
    #[error(
        "{name}: the file ends inside {field} at offset {offset}: {needed} bytes are needed, the \
         file has {length} in all. The download is incomplete: fetch it again."
    )]
    HeaderTruncated { name: String, field: String, offset: u64, needed: u64, length: u64 },
    /// A count or length that the rest of the file cannot hold, or over a fixed cap.
    #[error("{field} at offset {offset}: {value} exceeds the limit of {limit}. The file is damaged.")]
    TooLarge { field: String, offset: u64, value: u64, limit: u64 },
    /// A value that the format does not allow.
    #[error("{field} at offset {offset}: {value} is not valid, {expected}. The file is damaged.")]
    Invalid { field: String, offset: u64, value: u64, expected: &'static str },
    /// Text that is not UTF-8.
    #[error("{field} at offset {offset} is not UTF-8. The file is damaged.")]
    NotUtf8 { field: String, offset: u64 },
    /// A metadata key or tensor name that occurs twice.
    #[error("{kind} {name:?} occurs twice. The file is damaged.")]
    Duplicate { kind: &'static str, name: String },
    /// A metadata key or tensor name that is empty, too long or holds a NUL.
    #[error("{kind} {name:?} at offset {offset}: {reason}. The file is damaged.")]
    BadName { kind: &'static str, name: String, offset: u64, reason: &'static str },
    /// A tensor type that was removed from the format or is not known.
    #[error("tensor {tensor}: type {id} is unknown or was removed. Convert the model anew.")]
    UnknownType { tensor: String, id: u32 },
    /// A tensor type that is known but cannot be computed with.
    #[error("tensor {tensor}: {type_name} is not supported. Use another quantisation of the model.")]
    UnsupportedType { tensor: String, type_name: &'static str },
    /// A row length that is not a multiple of its type's block.
    #[error("tensor {tensor}: rows of {cols} do not divide into {type_name} blocks of {block}.")]
    BlockShape { tensor: String, cols: u64, type_name: &'static str, block: u64 },
    /// The size of a tensor leaves 64 bits.
    #[error("tensor {tensor}: dimensions {dims:?} overflow. The file is damaged.")]
    SizeOverflow { tensor: String, dims: Vec<u64> },
    /// A data offset that is not aligned or leaves 64 bits.
    #[error("tensor {tensor}: offset {offset} is not valid with alignment {alignment}.")]
    BadOffset { tensor: String, offset: u64, alignment: u64 },
    /// Two tensors share bytes.
    #[error("tensors {first} and {second} overlap in the file. The file is damaged.")]
    Overlap { first: String, second: String },
    /// A tensor's data lies behind the end of the file.
    #[error(
        "{name}: tensor {tensor} ends behind the file: {expected} bytes are needed, the file has \
         {actual}. The download is incomplete or still running: finish it or fetch it again."
    )]
    Truncated { name: String, tensor: String, expected: u64, actual: u64 },
    /// One file of a split model, without the others.
    #[error(
        "{name}: part {number} of {count} of a split model (split.count); {} missing{}. Put the parts beside each other under \
         the names that they came with, or join them into one file (llama-gguf-split --merge).",
        parts(missing),
        lookup(looked_for)
    )]
    MissingParts { name: String, number: u32, count: u32, missing: Vec<u32>, looked_for: Vec<String> },
    /// A part that says of itself something else than its place among the others needs.
    #[error(
        "{name}: is no part of the same split model as {first}: {key} is {found}, expected {expected}. \
         Give the parts of one model, under the names that they came with."
    )]
    ForeignPart { name: String, first: String, key: String, found: String, expected: String },
    /// The parts together do not hold what each of them says.
    #[error("{name}: its {parts} parts hold {found} tensors, but split.tensors.count is {expected}. Fetch the parts again.")]
    SplitTensors { name: String, parts: usize, found: u64, expected: u64 },
    /// The model has no tensor of this name.
    #[error("tensor {tensor} is missing. The file is not a complete model of its architecture.")]
    MissingTensor { tensor: String },
}

/// `part 2 is`, `parts 2 and 4 to 9 are`: numbers in ascending order.
fn parts(numbers: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some(run) if run.1 + 1 == number => run.1 = number,
            _ => runs.push((number, number)),
        }
    }
    let words = runs.iter().map(|&(from, to)| if from == to { from.to_string() } else { format!("{from} to {to}") });
    let words: Vec<String> = words.collect();
    match &words[..] {
        [one] if numbers.len() == 1 => format!("part {one} is"),
        [most @ .., last] if !most.is_empty() => format!("parts {} and {last} are", most.join(", ")),
        _ => format!("parts {} are", words.join("")),
    }
}

fn lookup(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => format!(" (looked for {only})"),
        [first, .., last] => format!(" (looked for {first} to {last})"),
    }
}

/// Why a metadata value cannot be had.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    #[error("metadata key {key} is missing. The file was made for another model or program.")]
    Missing { key: String },
    #[error("metadata key {key} is {found}, expected {expected}. Convert the model anew.")]
    WrongType { key: String, expected: &'static str, found: &'static str },
    #[error("metadata key {key}: {value} is not {expected}. Convert the model anew.")]
    OutOfRange { key: String, value: String, expected: &'static str },
}

impl MetadataError {
    /// Turns "missing" into `None` and keeps every other error.
    ///
    /// # Errors
    /// Those of `value` other than [`MetadataError::Missing`].
    pub fn optional<T>(value: Result<T, Self>) -> Result<Option<T>, Self> {
        match value {
            Ok(value) => Ok(Some(value)),
            Err(Self::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_of_parts() {
        for (numbers, words) in [
            (&[2][..], "part 2 is"),
            (&[2, 3], "parts 2 to 3 are"),
            (&[1, 3, 4, 5], "parts 1 and 3 to 5 are"),
            (&[1, 3, 5], "parts 1, 3 and 5 are"),
        ] {
            assert_eq!(super::parts(numbers), words);
        }
    }
}
