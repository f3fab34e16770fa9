//! Small GGUF files for the tests.

use rullama_source::{
    MemorySource,
    gguf::{Array, GgmlType, Gguf, GgufError, Metadata, StringArray, Value, write::GgufWriter},
};

/// Parses bytes in memory.
pub fn open(bytes: &[u8]) -> Result<Gguf, GgufError> {
    pollster::block_on(Gguf::open(&MemorySource::new("test.gguf", bytes)))
}

/// Metadata with a value of every type.
pub fn every_value() -> Metadata {
    let strings = ["<pad>", "", "▁the", "é"].into_iter().collect::<StringArray>();
    let mut metadata = Metadata::default();
    for (key, value) in [
        ("general.architecture", Value::String("gemma4".into())),
        ("a.u8", Value::U8(200)),
        ("a.i8", Value::I8(-3)),
        ("a.u16", Value::U16(65_000)),
        ("a.i16", Value::I16(-30_000)),
        ("a.u32", Value::U32(4_000_000_000)),
        ("a.i32", Value::I32(-7)),
        ("a.f32", Value::F32(1e-6)),
        ("a.bool", Value::Bool(true)),
        ("a.u64", Value::U64(1 << 40)),
        ("a.i64", Value::I64(-1)),
        ("a.f64", Value::F64(0.1)),
        ("b.u8", Value::Array(Array::U8(vec![1, 2, 3]))),
        ("b.i8", Value::Array(Array::I8(vec![-1, 1]))),
        ("b.u16", Value::Array(Array::U16(vec![7]))),
        ("b.i16", Value::Array(Array::I16(vec![-7, 7]))),
        ("b.u32", Value::Array(Array::U32(vec![1, 2]))),
        ("b.i32", Value::Array(Array::I32(vec![3, 4, 5]))),
        ("b.f32", Value::Array(Array::F32(vec![0.5, 1.5]))),
        ("b.bool", Value::Array(Array::Bool(vec![true, false, true]))),
        ("b.strings", Value::Array(Array::String(strings))),
        ("b.u64", Value::Array(Array::U64(vec![9]))),
        ("b.i64", Value::Array(Array::I64(vec![-9]))),
        ("b.f64", Value::Array(Array::F64(vec![2.5]))),
        ("b.empty", Value::Array(Array::F32(Vec::new()))),
    ] {
        metadata.set(key, value);
    }
    metadata
}

/// A valid file: every value type, three tensors of which one needs padding.
pub fn small_file() -> Vec<u8> {
    let mut writer = GgufWriter::new(every_value()).unwrap();
    let types = [("blk.0.attn_q.weight", 8, [64, 3]), ("norm.weight", 0, [5, 1]), ("e", 1, [4, 2])];
    for (name, id, dims) in types {
        writer.add(name, &dims, GgmlType::from_id(id).unwrap()).unwrap();
    }
    let mut stream = writer.start(Vec::new()).unwrap();
    for (name, bytes) in [("blk.0.attn_q.weight", 204), ("norm.weight", 20), ("e", 16)] {
        stream.write(name, &vec![7; bytes]).unwrap();
    }
    stream.finish().unwrap()
}

/// A header built by hand, for what the writer refuses to write.
pub struct Raw(pub Vec<u8>);

impl Raw {
    pub fn new(version: u32, tensors: u64, pairs: u64) -> Self {
        let mut raw = Self(b"GGUF".to_vec());
        raw.u32(version).u64(tensors).u64(pairs);
        raw
    }

    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend(bytes);
        self
    }

    pub fn text(&mut self, text: &[u8]) -> &mut Self {
        self.u64(text.len() as u64).bytes(text)
    }

    pub fn tensor(&mut self, name: &[u8], dims: &[u64], id: u32, offset: u64) -> &mut Self {
        self.text(name).u32(dims.len() as u32);
        for &dim in dims {
            self.u64(dim);
        }
        self.u32(id).u64(offset)
    }

    /// Pads the header and appends `data` zero bytes.
    pub fn data(&mut self, data: usize) -> &mut Self {
        let len = self.0.len().next_multiple_of(32) + data;
        self.0.resize(len, 0);
        self
    }

    pub fn open(&self) -> Result<Gguf, GgufError> {
        open(&self.0)
    }
}

/// Tensors `t0`, `t1`, ... of `lens[i]` values, in one file with `metadata`; tensor i holds its number.
pub fn file_of(metadata: Metadata, first: usize, lens: &[u64]) -> Vec<u8> {
    let mut writer = GgufWriter::new(metadata).unwrap();
    for (i, len) in lens.iter().enumerate() {
        writer.add(&format!("t{}", first + i), &[*len], GgmlType::F32).unwrap();
    }
    let mut stream = writer.start(Vec::new()).unwrap();
    for (i, len) in lens.iter().enumerate() {
        let bytes = ((first + i) as f32).to_le_bytes().repeat(*len as usize);
        stream.write(&format!("t{}", first + i), &bytes).unwrap();
    }
    stream.finish().unwrap()
}

/// The keys of part `number` (from 0) of `count`, as llama.cpp types them.
pub fn split_keys(mut metadata: Metadata, number: u16, count: u16, tensors: i32) -> Metadata {
    metadata.set("split.no", Value::U16(number));
    metadata.set("split.count", Value::U16(count));
    metadata.set("split.tensors.count", Value::I32(tensors));
    metadata
}
