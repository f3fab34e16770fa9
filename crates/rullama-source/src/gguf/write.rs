//! Writing GGUF as a stream: the header first, then each tensor's bytes in pieces.
//!
//! Tensors follow each other in the order they were added, each padded with zeros to the alignment,
//! which is the one layout that llama.cpp accepts (offset = running sum of padded sizes).

use std::io::{self, Write};

use super::{
    DEFAULT_ALIGNMENT, Gguf, GgufError, MAX_ALIGNMENT, MAX_TENSOR_NAME, Metadata,
    tensors::GgmlType,
    value::{Array, Value},
};

#[cfg(not(target_arch = "wasm32"))]
mod to_file;
#[cfg(not(target_arch = "wasm32"))]
pub use to_file::{FileSink, create, discard_unfinished, refuse_input, target};

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    #[error(transparent)]
    Gguf(#[from] GgufError),
    #[error("writing {target} failed: {source}. Check the free space and the permissions.")]
    Io { target: String, source: io::Error },
    #[error("{path} exists. Choose another name, or overwrite it with force.")]
    Exists { path: String },
    #[error("{path} exists and is no regular file, nor a link to one. Choose another name.")]
    NotAFile { path: String },
    #[error("{path} is the file that is read. Choose another name for the result.")]
    IsInput { path: String },
    #[error("tensor {tensor} was written, but {expected} is next. Write in the order of adding.")]
    Order { tensor: String, expected: String },
    #[error("tensor {tensor}: {got} bytes were written, it has {expected}. Write all of it, once.")]
    Size { tensor: String, expected: u64, got: u64 },
    #[error("general.alignment must be a power of two up to 2^20, stored as u32.")]
    Alignment,
}

fn io_error(source: io::Error) -> WriteError {
    WriteError::Io { target: "the output".to_owned(), source }
}

struct Planned {
    name: String,
    dims: Vec<u64>,
    ggml: GgmlType,
    /// Bytes without padding.
    bytes: u64,
    /// From the start of the data section.
    offset: u64,
}

/// A file that is planned: metadata and the list of tensors, without data.
pub struct GgufWriter {
    version: u32,
    metadata: Metadata,
    alignment: u64,
    tensors: Vec<Planned>,
    /// Offset of the next tensor.
    next: u64,
}

impl GgufWriter {
    /// A file with this metadata; the alignment is `general.alignment`, or 32.
    ///
    /// # Errors
    /// [`WriteError::Alignment`].
    pub fn new(metadata: Metadata) -> Result<Self, WriteError> {
        let alignment = match metadata.get("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(&Value::U32(a)) if a.is_power_of_two() && a <= MAX_ALIGNMENT => a,
            Some(_) => return Err(WriteError::Alignment),
        };
        let alignment = alignment.into();
        Ok(Self { version: 3, metadata, alignment, tensors: Vec::new(), next: 0 })
    }

    /// A file with the version, metadata and tensor list of `file`.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn like(file: &Gguf) -> Result<Self, WriteError> {
        let mut writer = Self::new(file.metadata.clone())?;
        writer.version = file.version;
        for tensor in &file.tensors {
            writer.add(&tensor.name, &tensor.dims, tensor.ggml_type())?;
        }
        Ok(writer)
    }

    /// Adds a tensor of `dims` (`ne` order: the first varies fastest).
    ///
    /// # Errors
    /// [`WriteError::Gguf`]: a bad or repeated name, dimensions that do not divide into blocks.
    pub fn add(&mut self, name: &str, dims: &[u64], ggml: impl Into<GgmlType>) -> Result<(), WriteError> {
        let ggml = ggml.into();
        let bad = |reason| GgufError::BadName { kind: "tensor name", name: name.to_owned(), offset: 0, reason };
        if name.is_empty() || name.contains('\0') || name.len() as u64 > MAX_TENSOR_NAME {
            return Err(bad("it must have 1 to 63 bytes and no NUL").into());
        }
        if self.tensors.iter().any(|tensor| tensor.name == name) {
            return Err(GgufError::Duplicate { kind: "tensor", name: name.to_owned() }.into());
        }
        let overflow = || GgufError::SizeOverflow { tensor: name.to_owned(), dims: dims.to_vec() };
        if !(1..=4).contains(&dims.len()) || dims.contains(&0) {
            return Err(overflow().into());
        }
        let bytes = ggml.tensor_bytes(name, dims)?;
        let offset = self.next;
        let end = offset.checked_add(bytes).and_then(|e| e.checked_next_multiple_of(self.alignment));
        self.next = end.ok_or_else(overflow)?;
        self.tensors.push(Planned { name: name.to_owned(), dims: dims.to_vec(), ggml, bytes, offset });
        Ok(())
    }

    /// Bytes of all tensor data, padding included.
    pub fn data_bytes(&self) -> u64 {
        self.next
    }

    /// Writes the header to `sink`.
    ///
    /// # Errors
    /// [`WriteError::Io`].
    pub fn start<W: Write>(self, sink: W) -> Result<GgufStream<W>, WriteError> {
        let mut out = Counted { sink, count: 0 };
        self.header(&mut out).map_err(io_error)?;
        if !self.tensors.is_empty() {
            let padding = out.count.next_multiple_of(self.alignment) - out.count;
            zeros(&mut out, padding).map_err(io_error)?;
        }
        let (tensors, alignment) = (self.tensors, self.alignment);
        Ok(GgufStream { sink: out.sink, tensors, alignment, current: 0, written: 0 })
    }

    fn header(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"GGUF")?;
        out.write_all(&self.version.to_le_bytes())?;
        length(out, self.tensors.len())?;
        length(out, self.metadata.len())?;
        for (key, value) in self.metadata.iter() {
            text(out, key)?;
            out.write_all(&value.type_id().to_le_bytes())?;
            put_value(out, value)?;
        }
        for tensor in &self.tensors {
            text(out, &tensor.name)?;
            out.write_all(&(tensor.dims.len() as u32).to_le_bytes())?;
            put_all(out, &tensor.dims, |dim| dim.to_le_bytes())?;
            out.write_all(&tensor.ggml.id().to_le_bytes())?;
            out.write_all(&tensor.offset.to_le_bytes())?;
        }
        Ok(())
    }
}

/// A sink that counts what goes into it.
struct Counted<W> {
    sink: W,
    count: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.sink.write(bytes)?;
        self.count += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

fn length(out: &mut impl Write, len: usize) -> io::Result<()> {
    out.write_all(&(len as u64).to_le_bytes())
}

fn text(out: &mut impl Write, string: &str) -> io::Result<()> {
    length(out, string.len())?;
    out.write_all(string.as_bytes())
}

fn zeros(out: &mut impl Write, count: u64) -> io::Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), count), out).map(|_| ())
}

fn put_all<T: Copy, const N: usize>(out: &mut impl Write, values: &[T], to_le: impl Fn(T) -> [u8; N]) -> io::Result<()> {
    values.iter().try_for_each(|&value| out.write_all(&to_le(value)))
}

fn put_value(out: &mut impl Write, value: &Value) -> io::Result<()> {
    match value {
        Value::U8(v) => out.write_all(&v.to_le_bytes()),
        Value::I8(v) => out.write_all(&v.to_le_bytes()),
        Value::U16(v) => out.write_all(&v.to_le_bytes()),
        Value::I16(v) => out.write_all(&v.to_le_bytes()),
        Value::U32(v) => out.write_all(&v.to_le_bytes()),
        Value::I32(v) => out.write_all(&v.to_le_bytes()),
        Value::F32(v) => out.write_all(&v.to_le_bytes()),
        Value::Bool(v) => out.write_all(&[u8::from(*v)]),
        Value::String(v) => text(out, v),
        Value::Array(v) => put_array(out, v),
        Value::U64(v) => out.write_all(&v.to_le_bytes()),
        Value::I64(v) => out.write_all(&v.to_le_bytes()),
        Value::F64(v) => out.write_all(&v.to_le_bytes()),
    }
}

fn put_array(out: &mut impl Write, array: &Array) -> io::Result<()> {
    out.write_all(&array.type_id().to_le_bytes())?;
    length(out, array.len())?;
    match array {
        Array::U8(v) => out.write_all(v),
        Array::I8(v) => put_all(out, v, i8::to_le_bytes),
        Array::U16(v) => put_all(out, v, u16::to_le_bytes),
        Array::I16(v) => put_all(out, v, i16::to_le_bytes),
        Array::U32(v) => put_all(out, v, u32::to_le_bytes),
        Array::I32(v) => put_all(out, v, i32::to_le_bytes),
        Array::F32(v) => put_all(out, v, f32::to_le_bytes),
        Array::Bool(v) => put_all(out, v, |b| [u8::from(b)]),
        Array::String(v) => v.iter().try_for_each(|string| text(out, string)),
        Array::U64(v) => put_all(out, v, u64::to_le_bytes),
        Array::I64(v) => put_all(out, v, i64::to_le_bytes),
        Array::F64(v) => put_all(out, v, f64::to_le_bytes),
    }
}

/// A file whose header stands and whose tensors are being filled, in the order they were added.
pub struct GgufStream<W> {
    sink: W,
    tensors: Vec<Planned>,
    alignment: u64,
    /// The tensor being filled.
    current: usize,
    /// Its bytes so far.
    written: u64,
}

impl<W: Write> GgufStream<W> {
    /// Appends a piece of `tensor`, of any length up to what is missing; pads it when it is full.
    ///
    /// # Errors
    /// [`WriteError::Order`] for another tensor than the next, [`WriteError::Size`] for too many
    /// bytes, [`WriteError::Io`].
    pub fn write(&mut self, tensor: &str, piece: &[u8]) -> Result<(), WriteError> {
        let name = tensor.to_owned();
        let Some(planned) = self.tensors.get(self.current) else {
            return Err(WriteError::Order { tensor: name, expected: "the end".to_owned() });
        };
        if planned.name != tensor {
            return Err(WriteError::Order { tensor: name, expected: planned.name.clone() });
        }
        let got = self.written + piece.len() as u64;
        if got > planned.bytes {
            return Err(WriteError::Size { tensor: name, expected: planned.bytes, got });
        }
        self.sink.write_all(piece).map_err(io_error)?;
        self.written = got;
        if got == planned.bytes {
            let padding = got.next_multiple_of(self.alignment) - got;
            zeros(&mut self.sink, padding).map_err(io_error)?;
            self.current += 1;
            self.written = 0;
        }
        Ok(())
    }

    /// Flushes and gives the sink back.
    ///
    /// # Errors
    /// [`WriteError::Size`] naming the first tensor that is not complete, [`WriteError::Io`].
    pub fn finish(mut self) -> Result<W, WriteError> {
        if let Some(planned) = self.tensors.get(self.current) {
            let (tensor, expected) = (planned.name.clone(), planned.bytes);
            return Err(WriteError::Size { tensor, expected, got: self.written });
        }
        self.sink.flush().map_err(io_error)?;
        Ok(self.sink)
    }
}
