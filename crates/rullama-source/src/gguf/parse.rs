//! The parser: one function per part of the header, in file order.

use crate::{
    foreign::{self, foreign},
    source::{ByteSource, SourceError},
};

use super::{
    DEFAULT_ALIGNMENT, Gguf, GgufError, MAX_ALIGNMENT, MAX_ARRAY, MAX_ENTRIES, MAX_KEY, MAX_STRING, MAX_TENSOR_NAME, Metadata,
    MetadataError,
    reader::Reader,
    tensors::{GgmlType, TensorIndex, TensorInfo},
    value::{Array, StringArray, Value, id, min_size},
};

/// Fewest bytes of a pair: key length, a one-byte key, type, a one-byte value. (A key may not be
/// empty, but is counted as such, as llama.cpp does.)
const MIN_PAIR: u64 = 8 + 4 + 1;
/// Fewest bytes of a tensor info: name length, dimension count, one dimension, type, offset.
const MIN_INFO: u64 = 8 + 4 + 8 + 4 + 8;
/// Arrays grow in steps of at most this many elements before their data has been seen.
const RESERVE: u64 = 1 << 16;

/// One file, which may be a part of a model.
pub(super) async fn parse(source: &dyn ByteSource) -> Result<Gguf, GgufError> {
    let mut reader = Reader::new(source);
    let version = read_version(&mut reader, source.name()).await?;
    let tensor_count = reader.count("tensor count", MIN_INFO, MAX_ENTRIES).await?;
    let pair_count = reader.count("metadata count", MIN_PAIR, MAX_ENTRIES).await?;
    let metadata = read_metadata(&mut reader, pair_count).await?;
    let alignment = read_alignment(&metadata)?;
    let mut raw = Vec::new();
    for i in 0..tensor_count {
        raw.push(read_tensor(&mut reader, i).await?);
    }
    let data_start = reader.offset().next_multiple_of(u64::from(alignment));
    let tensors = raw.into_iter().map(|tensor| tensor.place(data_start, alignment)).collect::<Result<Vec<_>, _>>()?;
    let file_len = source.len();
    check_length(source, &tensors)?;
    let tensors = TensorIndex::new(tensors)?;
    Ok(Gguf { version, metadata, tensors, alignment, data_start, file_len })
}

async fn read_version(reader: &mut Reader<'_>, name: &str) -> Result<u32, GgufError> {
    let len = reader.remaining();
    let head = reader.peek(foreign::HEAD).await?;
    if !b"GGUF".starts_with(&head[..head.len().min(4)]) {
        return Err(match (foreign(head, len), head) {
            (Some(foreign), _) => SourceError::Foreign { name: name.to_owned(), foreign }.into(),
            (None, &[a, b, c, d, ..]) => GgufError::NotGguf { name: name.to_owned(), magic: [a, b, c, d] },
            (None, _) => reader.truncated("magic", 4),
        });
    }
    reader.take(4, "magic").await?;
    match reader.u32("version").await? {
        version @ (2 | 3) => Ok(version),
        swapped if swapped != 0 && swapped & 0xffff == 0 => Err(GgufError::BigEndian { name: name.to_owned() }),
        version => Err(GgufError::Version { name: name.to_owned(), version }),
    }
}

async fn read_metadata(reader: &mut Reader<'_>, count: u64) -> Result<Metadata, GgufError> {
    let mut entries = Vec::new();
    let mut scratch = Vec::new();
    for i in 0..count {
        reader.subject = format!("metadata pair {i}");
        let offset = reader.offset();
        let key = reader.string("key", MAX_KEY, &mut scratch).await?.to_owned();
        check_name("metadata key", &key, offset)?;
        reader.subject = format!("metadata key {key}");
        let value = read_value(reader, &mut scratch).await?;
        entries.push((key, value));
    }
    reader.subject.clear();
    Metadata::from_entries(entries)
}

fn check_name(kind: &'static str, name: &str, offset: u64) -> Result<(), GgufError> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.contains('\0') {
        "it holds a NUL"
    } else {
        return Ok(());
    };
    Err(GgufError::BadName { kind, name: name.to_owned(), offset, reason })
}

/// Eight bytes of which a type uses the first few.
async fn scalar_bytes(reader: &mut Reader<'_>, size: u64) -> Result<[u8; 8], GgufError> {
    let mut bytes = [0; 8];
    let size = size as usize;
    bytes[..size].copy_from_slice(reader.take(size, "value").await?);
    Ok(bytes)
}

async fn read_value(reader: &mut Reader<'_>, scratch: &mut Vec<u8>) -> Result<Value, GgufError> {
    const EXPECTED: &str = "expected a type from 0 to 12";
    let type_id = reader.u32("value type").await?;
    match type_id {
        id::STRING => {
            return Ok(Value::String(reader.string("value", MAX_STRING, scratch).await?.to_owned()));
        }
        id::ARRAY => return Ok(Value::Array(read_array(reader, scratch).await?)),
        _ => {}
    }
    let Some(size) = min_size(type_id) else {
        return Err(reader.invalid("value type", type_id.into(), EXPECTED));
    };
    let bytes = scalar_bytes(reader, size).await?;
    let word = u64::from_le_bytes(bytes);
    Ok(match type_id {
        id::U8 => Value::U8(word as u8),
        id::I8 => Value::I8(word as i8),
        id::U16 => Value::U16(word as u16),
        id::I16 => Value::I16(word as i16),
        id::U32 => Value::U32(word as u32),
        id::I32 => Value::I32(word as i32),
        id::F32 => Value::F32(f32::from_bits(word as u32)),
        id::BOOL if word <= 1 => Value::Bool(word == 1),
        id::BOOL => return Err(reader.invalid("value", word, "a bool is 0 or 1")),
        id::U64 => Value::U64(word),
        id::I64 => Value::I64(word as i64),
        _ => Value::F64(f64::from_bits(word)),
    })
}

async fn read_array(reader: &mut Reader<'_>, scratch: &mut Vec<u8>) -> Result<Array, GgufError> {
    let type_id = reader.u32("element type").await?;
    let Some(size) = min_size(type_id) else {
        let expected = "expected a scalar or string type; arrays do not nest";
        return Err(reader.invalid("element type", type_id.into(), expected));
    };
    let count = reader.count("element count", size, MAX_ARRAY).await?;
    Ok(match type_id {
        id::U8 => Array::U8(numbers(reader, count, u8::from_le_bytes).await?),
        id::I8 => Array::I8(numbers(reader, count, i8::from_le_bytes).await?),
        id::U16 => Array::U16(numbers(reader, count, u16::from_le_bytes).await?),
        id::I16 => Array::I16(numbers(reader, count, i16::from_le_bytes).await?),
        id::U32 => Array::U32(numbers(reader, count, u32::from_le_bytes).await?),
        id::I32 => Array::I32(numbers(reader, count, i32::from_le_bytes).await?),
        id::F32 => Array::F32(numbers(reader, count, f32::from_le_bytes).await?),
        id::U64 => Array::U64(numbers(reader, count, u64::from_le_bytes).await?),
        id::I64 => Array::I64(numbers(reader, count, i64::from_le_bytes).await?),
        id::F64 => Array::F64(numbers(reader, count, f64::from_le_bytes).await?),
        id::BOOL => Array::Bool(bools(reader, count).await?),
        _ => Array::String(strings(reader, count, scratch).await?),
    })
}

/// `count` little-endian numbers; the count has been checked against the bytes that are left.
async fn numbers<T, const N: usize>(reader: &mut Reader<'_>, count: u64, from_le: impl Fn([u8; N]) -> T) -> Result<Vec<T>, GgufError> {
    let mut out = Vec::with_capacity(count.min(RESERVE) as usize);
    let mut left = count;
    while left > 0 {
        let (chunks, _) = reader.some(left * N as u64, N).await?.as_chunks::<N>();
        out.extend(chunks.iter().map(|bytes| from_le(*bytes)));
        left -= chunks.len() as u64;
    }
    out.shrink_to_fit();
    Ok(out)
}

async fn bools(reader: &mut Reader<'_>, count: u64) -> Result<Vec<bool>, GgufError> {
    let bytes = numbers(reader, count, u8::from_le_bytes).await?;
    if let Some(&other) = bytes.iter().find(|&&byte| byte > 1) {
        return Err(reader.invalid("elements", other.into(), "a bool is 0 or 1"));
    }
    Ok(bytes.into_iter().map(|byte| byte == 1).collect())
}

async fn strings(reader: &mut Reader<'_>, count: u64, scratch: &mut Vec<u8>) -> Result<StringArray, GgufError> {
    let mut out = StringArray::with_capacity(count.min(RESERVE) as usize);
    for _ in 0..count {
        let string = reader.string("element", MAX_STRING, scratch).await?;
        if !out.push(string) {
            return Err(reader.too_large("text", u64::from(u32::MAX) + 1, u32::MAX.into()));
        }
    }
    out.shrink_to_fit();
    Ok(out)
}

fn read_alignment(metadata: &Metadata) -> Result<u32, GgufError> {
    const KEY: &str = "general.alignment";
    match metadata.get(KEY) {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(&Value::U32(value)) if value.is_power_of_two() && value <= MAX_ALIGNMENT => Ok(value),
        Some(Value::U32(value)) => Err(GgufError::Metadata(MetadataError::OutOfRange {
            key: KEY.to_owned(),
            value: value.to_string(),
            expected: "a power of two up to 2^20",
        })),
        Some(other) => {
            Err(GgufError::Metadata(MetadataError::WrongType { key: KEY.to_owned(), expected: "u32", found: other.type_name() }))
        }
    }
}

/// A tensor info before the start of the data section is known.
struct RawTensor {
    name: String,
    dims: Vec<u64>,
    ggml: GgmlType,
    bytes: u64,
    /// From the start of the data section.
    offset: u64,
}

async fn read_tensor(reader: &mut Reader<'_>, i: u64) -> Result<RawTensor, GgufError> {
    let mut scratch = Vec::new();
    reader.subject = format!("tensor {i}");
    let at = reader.offset();
    let name = reader.string("name", MAX_TENSOR_NAME, &mut scratch).await?.to_owned();
    check_name("tensor name", &name, at)?;
    reader.subject = format!("tensor {name}");
    let rank = reader.u32("dimension count").await?;
    if !(1..=4).contains(&rank) {
        return Err(reader.invalid("dimension count", rank.into(), "expected 1 to 4"));
    }
    let mut dims = Vec::with_capacity(rank as usize);
    for _ in 0..rank {
        let dim = reader.u64("dimension").await?;
        if dim == 0 || dim > i64::MAX as u64 {
            return Err(reader.invalid("dimension", dim, "expected 1 to 2^63-1"));
        }
        dims.push(dim);
    }
    let type_id = reader.u32("type").await?;
    let offset = reader.u64("offset").await?;
    let Some(ggml) = GgmlType::from_id(type_id) else {
        return Err(GgufError::UnknownType { tensor: name, id: type_id });
    };
    let bytes = ggml.tensor_bytes(&name, &dims)?;
    Ok(RawTensor { name, dims, ggml, bytes, offset })
}

impl RawTensor {
    fn place(self, data_start: u64, alignment: u32) -> Result<TensorInfo, GgufError> {
        let aligned = self.offset.is_multiple_of(alignment.into());
        let start = data_start.checked_add(self.offset).filter(|_| aligned);
        let end = start.and_then(|start| start.checked_add(self.bytes));
        let (Some(start), Some(end)) = (start, end) else {
            let alignment = alignment.into();
            return Err(GgufError::BadOffset { tensor: self.name, offset: self.offset, alignment });
        };
        let kind = self.ggml.into();
        Ok(TensorInfo { name: self.name, dims: self.dims, kind, range: start..end })
    }
}

/// Names the first tensor whose data the file does not hold completely, and the size of a whole file.
fn check_length(source: &dyn ByteSource, tensors: &[TensorInfo]) -> Result<(), GgufError> {
    let cut = tensors.iter().filter(|tensor| tensor.range.end > source.len());
    let Some(first) = cut.min_by_key(|tensor| tensor.range.start) else { return Ok(()) };
    let expected = tensors.iter().map(|tensor| tensor.range.end).max().unwrap_or_default();
    Err(GgufError::Truncated { name: source.name().to_owned(), tensor: first.name.clone(), expected, actual: source.len() })
}
