//! Models in several files: `split.no` (from 0), `split.count` and `split.tensors.count` in each.
//!
//! Every part is a GGUF file of its own with offsets of its own; the first has the model's metadata.
//! Names end in `-00001-of-00003.gguf`. Source: llama.cpp `tools/gguf-split`, `src/llama-model-loader.cpp`.

use std::sync::Arc;

use super::{
    Gguf, GgufError, MAX_ENTRIES, Metadata, MetadataError, parse,
    tensors::{TensorIndex, TensorInfo},
    value::Value,
};
use crate::source::ByteSource;

/// Most files of a model.
pub const MAX_PARTS: u32 = 1000;

const NUMBER: &str = "split.no";
const COUNT: &str = "split.count";
const TENSORS: &str = "split.tensors.count";

/// Which part of how many a file says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// From 1.
    pub number: u32,
    pub count: u32,
    /// Tensors of all parts, where the file tells.
    pub tensors: Option<u64>,
}

impl Split {
    /// Reads the keys; `None` for a model in one file.
    ///
    /// # Errors
    /// [`MetadataError`] for values that contradict themselves.
    pub fn read(metadata: &Metadata) -> Result<Option<Self>, MetadataError> {
        let out_of_range =
            |key: &str, value: u32, expected| MetadataError::OutOfRange { key: key.into(), value: value.to_string(), expected };
        let Some(count) = MetadataError::optional(metadata.u32(COUNT))? else { return Ok(None) };
        let number = MetadataError::optional(metadata.u32(NUMBER))?.unwrap_or(0);
        if count <= 1 && number == 0 {
            return Ok(None);
        }
        if count > MAX_PARTS {
            return Err(out_of_range(COUNT, count, "a number of parts up to 1000"));
        }
        if number >= count {
            return Err(out_of_range(NUMBER, number, "below split.count"));
        }
        let tensors = MetadataError::optional(metadata.u64(TENSORS))?;
        Ok(Some(Self { number: number + 1, count, tensors }))
    }
}

/// A name or address that ends in `-00001-of-00003.gguf`, and a query where it is an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartName {
    prefix: String,
    suffix: String,
    /// From 1.
    pub number: u32,
    pub count: u32,
}

impl PartName {
    /// Digits of a number in a name.
    const DIGITS: usize = 5;

    /// Reads the name of a part of a model of several.
    pub fn parse(name: &str) -> Option<Self> {
        let address = name.starts_with("http://") || name.starts_with("https://") || name.starts_with('/');
        let end = if address { name.find(['?', '#']).unwrap_or(name.len()) } else { name.len() };
        Self::of(name, end).or_else(|| Self::of(name, name.len()))
    }

    fn of(name: &str, end: usize) -> Option<Self> {
        let stem = name.get(..end)?;
        let stem = stem.get(..stem.len().checked_sub(".gguf".len())?).filter(|short| stem[short.len()..].eq_ignore_ascii_case(".gguf"))?;
        let (rest, count) = Self::number(stem)?;
        let (prefix, number) = Self::number(rest.strip_suffix("-of-")?)?;
        let prefix = prefix.strip_suffix('-')?.to_owned();
        let valid = (2..=MAX_PARTS).contains(&count) && (1..=count).contains(&number);
        valid.then(|| Self { prefix, suffix: name[stem.len()..].to_owned(), number, count })
    }

    /// The digits at the end of `text`, and what stands before them.
    fn number(text: &str) -> Option<(&str, u32)> {
        let at = text.len().checked_sub(Self::DIGITS)?;
        let digits = text.get(at..).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
        Some((&text[..at], digits.parse().ok()?))
    }

    /// The name of another part of the same model.
    pub fn with(&self, number: u32) -> String {
        format!("{}-{number:05}-of-{:05}{}", self.prefix, self.count, self.suffix)
    }
}

/// The names of all parts of the model that `source` is a part of, by its own name and its header; `None` where it is whole, or
/// its name is no part's. The own name stands at [`PartName::number`].
///
/// # Errors
/// As [`Gguf::open`].
pub async fn part_names(source: &dyn ByteSource, name: &str) -> Result<Option<Vec<String>>, GgufError> {
    let Some(part) = PartName::parse(name) else { return Ok(None) };
    let file = parse::parse(source).await?;
    let Some(split) = Split::read(&file.metadata)? else { return Ok(None) };
    for (key, found, expected) in [(NUMBER, split.number, part.number), (COUNT, split.count, part.count)] {
        if found != expected {
            let (found, expected) = if key == NUMBER { (found - 1, expected - 1) } else { (found, expected) };
            let (found, expected) = (found.to_string(), format!("{expected} by its name"));
            return Err(GgufError::ForeignPart { name: name.to_owned(), first: part.with(1), key: key.to_owned(), found, expected });
        }
    }
    Ok(Some((1..=part.count).map(|number| part.with(number)).collect()))
}

/// Which part of a model a file is, from its header.
///
/// # Errors
/// As [`Gguf::open`].
pub async fn peek(source: &dyn ByteSource) -> Result<Option<Split>, GgufError> {
    Ok(Split::read(&parse::parse(source).await?.metadata)?)
}

/// Files in the order of the parts that they say they are, those that are none before them: [`Gguf::open`] of all, joined, then says
/// whether they make one model.
///
/// # Errors
/// More than [`MAX_PARTS`] files; as [`Gguf::open`].
pub async fn in_order(files: Vec<Arc<dyn ByteSource>>) -> Result<Vec<Arc<dyn ByteSource>>, GgufError> {
    if files.len() > MAX_PARTS as usize {
        let (field, value) = ("number of parts".to_owned(), files.len() as u64);
        return Err(GgufError::TooLarge { field, offset: 0, value, limit: MAX_PARTS.into() });
    }
    let mut numbered = Vec::with_capacity(files.len());
    for file in files {
        numbered.push((peek(&*file).await?.map_or(0, |split| split.number), file));
    }
    numbered.sort_by_key(|(number, _)| *number);
    Ok(numbered.into_iter().map(|(_, file)| file).collect())
}

/// Refuses a file that is only a part.
pub(super) fn refuse_part(name: &str, file: &Gguf) -> Result<(), GgufError> {
    let Some(Split { number, count, .. }) = Split::read(&file.metadata)? else { return Ok(()) };
    let missing: Vec<u32> = (1..=count).filter(|n| *n != number).collect();
    let known = PartName::parse(name).filter(|part| part.count == count);
    let looked_for = known.map_or_else(Vec::new, |part| missing.iter().map(|n| part.with(*n)).collect());
    Err(GgufError::MissingParts { name: name.to_owned(), number, count, missing, looked_for })
}

/// One model from its parts: the first's metadata without the keys of the split, and everybody's tensors.
pub(super) async fn join(source: &dyn ByteSource, parts: &[Arc<dyn ByteSource>]) -> Result<Gguf, GgufError> {
    let mut files = Vec::with_capacity(parts.len());
    for part in parts {
        files.push(parse::parse(&**part).await?);
    }
    refuse_incomplete(source.name(), &files)?;
    let (mut tensors, mut start) = (Vec::new(), 0u64);
    for (i, (part, file)) in parts.iter().zip(&mut files).enumerate() {
        check_place(&file.metadata, part.name(), source.name(), i, parts.len())?;
        for tensor in std::mem::take(&mut file.tensors).into_vec() {
            let range = tensor.range.start + start..tensor.range.end + start;
            tensors.push(TensorInfo { range, ..tensor });
        }
        start += part.len();
    }
    let mut files = files.into_iter();
    let Some(mut whole) = files.next() else { return parse::parse(source).await };
    for (file, part) in files.zip(&parts[1..]) {
        check_same(&whole.metadata, &file.metadata, part.name(), source.name())?;
    }
    let found = tensors.len() as u64;
    if let Some(expected) = Split::read(&whole.metadata)?.and_then(|split| split.tensors).filter(|expected| *expected != found) {
        return Err(GgufError::SplitTensors { name: source.name().to_owned(), parts: parts.len(), found, expected });
    }
    if found > MAX_ENTRIES {
        return Err(GgufError::TooLarge { field: "tensor count of all parts".to_owned(), offset: 0, value: found, limit: MAX_ENTRIES });
    }
    whole.tensors = TensorIndex::new(tensors)?;
    whole.file_len = source.len();
    for key in [NUMBER, COUNT, TENSORS] {
        whole.metadata.take(key);
    }
    Ok(whole)
}

/// Names the parts that are not there, where those that are know of more.
fn refuse_incomplete(name: &str, files: &[Gguf]) -> Result<(), GgufError> {
    let splits: Vec<Split> =
        files.iter().map(|file| Split::read(&file.metadata)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    let Some(first) = splits.first().filter(|first| splits.iter().all(|split| split.count == first.count)) else { return Ok(()) };
    let missing: Vec<u32> = (1..=first.count).filter(|number| splits.iter().all(|split| split.number != *number)).collect();
    if splits.len() < files.len() || missing.is_empty() || missing.len() + splits.len() != first.count as usize {
        return Ok(());
    }
    Err(GgufError::MissingParts { name: name.to_owned(), number: first.number, count: first.count, missing, looked_for: Vec::new() })
}

/// Whether a part says that it is part `i` (from 0) of `count`.
fn check_place(metadata: &Metadata, name: &str, first: &str, i: usize, count: usize) -> Result<(), GgufError> {
    let split = Split::read(metadata)?;
    let found = |value: Option<u32>| value.map_or_else(|| "missing".to_owned(), |value| value.to_string());
    for (key, value, expected) in [(COUNT, split.map(|split| split.count), count), (NUMBER, split.map(|split| split.number - 1), i)] {
        if value.is_none_or(|value| value as usize != expected) {
            let (name, first, key) = (name.to_owned(), first.to_owned(), key.to_owned());
            return Err(GgufError::ForeignPart { name, first, key, found: found(value), expected: expected.to_string() });
        }
    }
    Ok(())
}

/// What a later part repeats of the first one's metadata must be the same; its own place and alignment may differ.
fn check_same(first: &Metadata, part: &Metadata, name: &str, first_name: &str) -> Result<(), GgufError> {
    let own = [NUMBER, "general.alignment"];
    // Converters differ in the width of these.
    let same = |key: &str, a: &Value, b: &Value| a == b || (key == TENSORS && first.u64(key).ok() == part.u64(key).ok()) || key == COUNT;
    let repeated = part.iter().filter(|(key, _)| !own.contains(key));
    let differs =
        repeated.filter_map(|(key, value)| Some((key, value, first.get(key)?))).find(|(key, value, known)| !same(key, known, value));
    let Some((key, value, known)) = differs else { return Ok(()) };
    let text = |value: &Value| {
        let text: String = format!("{value:?}").chars().take(60).collect();
        text
    };
    let (name, first) = (name.to_owned(), first_name.to_owned());
    Err(GgufError::ForeignPart { name, first, key: key.to_owned(), found: text(value), expected: text(known) })
}
