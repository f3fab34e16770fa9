//! From tensors in a file to weights on the GPU, in bounded pieces.

use crate::ModelError;
pub use crate::vectors::{read_table, read_tables};
use rullama_gpu::{Buffer, Device, Usage};
use rullama_ops::{Chunk, HostWeight, Tensor, Weight};
use rullama_quant::{DType, Layout};
use rullama_source::gguf::TensorInfo;
use rullama_source::{ByteSource, parallel};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Bytes read and repacked at a time.
const PIECE: u64 = 4 << 20;
/// Bytes handed to the GPU before waiting for it: what staging memory may grow to.
pub(crate) const STAGING: u64 = 64 << 20;

/// Rows of a tensor, by the name that the model's algebra has for them.
#[derive(Debug, Clone)]
pub struct Part {
    pub key: String,
    pub tensor: TensorInfo,
    pub rows: Range<u64>,
}

impl Table {
    pub fn rows(&self) -> u32 {
        (self.values.len() / self.cols.max(1)) as u32
    }
}

impl Part {
    pub fn whole(key: &str, tensor: TensorInfo) -> Self {
        let rows = 0..tensor.rows();
        Part { key: key.into(), tensor, rows }
    }

    /// The part on the host, for oracles.
    pub async fn host(&self, source: &dyn ByteSource) -> Result<HostWeight, ModelError> {
        let bytes = read_part(source, self, 0..self.len()).await?;
        Ok(HostWeight { dtype: self.tensor.dtype()?, rows: self.len() as usize, cols: self.tensor.cols() as usize, bytes })
    }

    fn len(&self) -> u64 {
        self.rows.end - self.rows.start
    }
}

/// How parts make one matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stack {
    /// One after the other.
    Concat,
    /// Row 2i from the first part, 2i + 1 from the second.
    Interleave,
    /// One after the other, `rows` for each expert; chunks hold whole experts.
    Experts { rows: u64 },
}

/// A matrix to load; all parts have one format and row length.
#[derive(Debug, Clone)]
pub struct WeightSpec {
    pub key: String,
    pub stack: Stack,
    pub parts: Vec<Part>,
    /// Zeros follow the columns up to a multiple of 32, for files whose rows are shorter; of formats without blocks alone.
    pub padded: bool,
}

/// A vector to load as f32.
#[derive(Debug, Clone)]
pub struct TableSpec {
    pub key: String,
    pub tensor: TensorInfo,
    /// Only the host reads it.
    pub host: bool,
}

/// Everything to load, and what graphs ask for by key.
#[derive(Debug, Clone, Default)]
pub struct Specs {
    pub weights: Vec<WeightSpec>,
    pub tables: Vec<TableSpec>,
    /// Tensors of the file that are known to be of no use here.
    pub unneeded: Vec<String>,
}

/// Where a part stands in its stack.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    pub spec: &'a WeightSpec,
    pub part: &'a Part,
    /// Its place among the parts.
    pub index: usize,
    /// Rows of the parts before it.
    pub first_row: u64,
}

impl Specs {
    pub fn weight(&self, key: &str) -> Option<&WeightSpec> {
        self.weights.iter().find(|spec| spec.key == key)
    }

    /// The part that the algebra calls `key`.
    pub fn part(&self, key: &str) -> Option<Placed<'_>> {
        self.weights.iter().find_map(|spec| {
            let index = spec.parts.iter().position(|part| part.key == key)?;
            let first_row = spec.parts[..index].iter().map(Part::len).sum();
            Some(Placed { spec, part: &spec.parts[index], index, first_row })
        })
    }
}

impl WeightSpec {
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(Part::len).sum()
    }

    pub fn cols(&self) -> u64 {
        let cols = self.parts[0].tensor.cols();
        if self.padded { cols.next_multiple_of(32) } else { cols }
    }

    /// Bytes of a row with what pads it.
    fn row_bytes(&self) -> u64 {
        let tensor = &self.parts[0].tensor;
        // Not by the bytes of a value, of which blocks have no whole number.
        if self.padded { tensor.row_bytes() * self.cols() / tensor.cols().max(1) } else { tensor.row_bytes() }
    }

    pub fn dtype(&self) -> Result<DType, ModelError> {
        Ok(self.parts[0].tensor.dtype()?)
    }

    /// Rows of each expert, where there are experts.
    pub fn expert_rows(&self) -> Option<u64> {
        match self.stack {
            Stack::Experts { rows } => Some(rows),
            _ => None,
        }
    }

    /// Whether the row tells this file from others: of experts, which may stay in the file, the first of each.
    fn is_sampled(&self, row: u64) -> bool {
        self.expert_rows().is_none_or(|rows| row.is_multiple_of(rows))
    }

    /// Bytes in the file.
    pub fn bytes(&self) -> u64 {
        self.rows() * self.parts[0].tensor.row_bytes()
    }

    /// Rows of the stacked matrix in the file's bits. Interleaved ranges start and end even.
    pub async fn read(&self, source: &dyn ByteSource, rows: Range<u64>) -> Result<Vec<u8>, ModelError> {
        let bytes = self.read_stored(source, rows).await?;
        let (stored, wanted) = (self.parts[0].tensor.row_bytes() as usize, self.row_bytes() as usize);
        if stored == wanted {
            return Ok(bytes);
        }
        let mut out = vec![0; bytes.len() / stored.max(1) * wanted];
        out.chunks_exact_mut(wanted).zip(bytes.chunks_exact(stored)).for_each(|(to, from)| to[..stored].copy_from_slice(from));
        Ok(out)
    }

    async fn read_stored(&self, source: &dyn ByteSource, rows: Range<u64>) -> Result<Vec<u8>, ModelError> {
        let row_bytes = self.parts[0].tensor.row_bytes() as usize;
        match self.stack {
            Stack::Interleave => {
                let half = rows.start / 2..rows.end / 2;
                let (first, second) =
                    (read_part(source, &self.parts[0], half.clone()).await?, read_part(source, &self.parts[1], half).await?);
                let mut out = Vec::with_capacity(first.len() + second.len());
                for (a, b) in first.chunks_exact(row_bytes).zip(second.chunks_exact(row_bytes)) {
                    out.extend_from_slice(a);
                    out.extend_from_slice(b);
                }
                Ok(out)
            }
            Stack::Concat | Stack::Experts { .. } => {
                let mut out = Vec::new();
                let mut start = 0;
                for part in &self.parts {
                    let (from, to) = (rows.start.max(start), rows.end.min(start + part.len()));
                    if from < to {
                        let bytes = read_part(source, part, from - start..to - start).await?;
                        if out.is_empty() { out = bytes } else { out.extend(bytes) }
                    }
                    start += part.len();
                }
                Ok(out)
            }
        }
    }

    /// The whole matrix on the host, for oracles.
    pub async fn host(&self, source: &dyn ByteSource) -> Result<HostWeight, ModelError> {
        let bytes = self.read(source, 0..self.rows()).await?;
        Ok(HostWeight { dtype: self.dtype()?, rows: self.rows() as usize, cols: self.cols() as usize, bytes })
    }
}

async fn read_part(source: &dyn ByteSource, part: &Part, rows: Range<u64>) -> Result<Vec<u8>, ModelError> {
    let tensor = &part.tensor;
    let rows = part.rows.start + rows.start..part.rows.start + rows.end;
    let outside = ModelError::Row { name: tensor.name.clone(), row: rows.end, rows: tensor.rows() };
    let range = tensor.row_range(rows).ok_or(outside)?;
    Ok(source.read(range.start, (range.end - range.start) as usize).await?)
}

/// A small f32 matrix to put on the GPU beside the weights.
#[derive(Debug, Clone)]
pub struct Table {
    pub key: String,
    pub cols: usize,
    pub values: Vec<f32>,
}

/// What the keys of a graph's weights and tables ([`rullama_ops::Kind`]) stand for.
#[derive(Debug, Default)]
pub struct Weights {
    weights: HashMap<String, Arc<Weight>>,
    tables: HashMap<String, Tensor>,
}

impl Weights {
    pub fn weight(&self, key: &str) -> Option<&Arc<Weight>> {
        self.weights.get(key)
    }

    pub fn table(&self, key: &str) -> Option<&Tensor> {
        self.tables.get(key)
    }

    /// Puts small tables on the GPU, all in one buffer.
    pub async fn add_tables(&mut self, device: &Device, tables: &[Table]) -> Result<(), ModelError> {
        let align = (device.caps().offset_alignment as usize / 4).max(4);
        let mut all: Vec<f32> = Vec::new();
        let mut places = Vec::new();
        for table in tables {
            all.resize(all.len().next_multiple_of(align), 0.0);
            places.push(all.len());
            all.extend(&table.values);
        }
        all.resize(all.len().next_multiple_of(align), 0.0);
        let buffer = device.buffer("tables", all.len() as u64 * 4, Usage::Storage).await?;
        device.write(&buffer, 0, bytemuck::cast_slice(&all));
        for (table, place) in tables.iter().zip(places) {
            let (rows, cols) = (table.values.len() / table.cols, table.cols as u32);
            let slice = buffer.slice(place as u64 * 4, table.values.len() as u64 * 4);
            self.tables.insert(table.key.clone(), Tensor { slice, rows: rows as u32, cols, stride: cols, offset: 0 });
        }
        Ok(())
    }
}

/// Streams matrices to the GPU and keeps count.
pub struct Loader<'a> {
    pub device: &'a Device,
    pub source: &'a dyn ByteSource,
    /// Called with the bytes loaded so far; false cancels.
    pub progress: &'a mut dyn FnMut(u64) -> bool,
    done: u64,
    staged: u64,
    /// See [`samples`](Self::samples).
    samples: u64,
    /// Pieces waiting to be read together.
    batch: Vec<Piece<'a>>,
}

/// Rows of a chunk on their way to its buffer.
struct Piece<'a> {
    source: &'a dyn ByteSource,
    spec: Arc<WeightSpec>,
    layout: Arc<Layout>,
    buffer: Buffer,
    /// First row of the chunk in the matrix, of the piece in the chunk, and their number.
    chunk: u64,
    first: u64,
    rows: u64,
}

/// Words and where they go in the buffer.
pub(crate) type Planes = Vec<(u32, Vec<u32>)>;

/// A sum over rows of a number that depends on the row's place and on the beginning of its bits: the same however a weight is cut.
fn sample(spec: &WeightSpec, first_row: u64, rows: std::slice::ChunksExact<'_, u8>) -> u64 {
    let key = spec.key.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let word = |bytes: &[u8]| bytes.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    rows.enumerate()
        .filter(|(i, _)| spec.is_sampled(first_row + *i as u64))
        .map(|(i, row)| {
            let (start, rest) = row.split_at(row.len().min(8));
            let place = key ^ (first_row + i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed(mixed(place ^ word(start)) ^ word(&rest[..rest.len().min(8)]))
        })
        .fold(0, u64::wrapping_add)
}

/// The last steps of SplitMix64.
fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

impl Piece<'_> {
    fn bytes(&self) -> u64 {
        self.rows * self.spec.parts[0].tensor.row_bytes()
    }

    async fn repacked(&self) -> Result<(Planes, u64), ModelError> {
        let start = self.chunk + self.first;
        let bytes = self.spec.read(self.source, start..start + self.rows).await?;
        let rows = bytes.chunks_exact(self.spec.row_bytes() as usize);
        Ok((self.layout.repack(self.first as usize, &bytes)?, sample(&self.spec, start, rows)))
    }
}

impl<'a> Loader<'a> {
    pub fn new(device: &'a Device, source: &'a dyn ByteSource, progress: &'a mut dyn FnMut(u64) -> bool) -> Self {
        Loader { device, source, progress, done: 0, staged: 0, samples: 0, batch: Vec::new() }
    }

    /// What tells the weights loaded so far from others of the same shapes: a sum over samples of their rows.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Loads matrices, each split into chunks that the adapter can bind.
    ///
    /// # Errors
    /// An unreadable source, a row that kernels cannot take, no GPU memory, cancellation.
    pub async fn load(&mut self, specs: impl Iterator<Item = &WeightSpec>, into: &mut Weights) -> Result<(), ModelError> {
        for spec in specs {
            let weight = self.matrix(&Arc::new(spec.clone()), spec.rows(), true).await?;
            into.weights.insert(spec.key.clone(), Arc::new(weight));
        }
        self.flush().await
    }

    /// Makes room for `places` experts of each matrix, which are read when they are needed. Rows that tell files apart are read now.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn pools(&mut self, specs: &[&WeightSpec], places: u32, into: &mut Weights) -> Result<(), ModelError> {
        for spec in specs {
            let rows = spec.expert_rows().unwrap_or(1);
            if !rows.is_multiple_of(ROW_STEP) {
                return Err(ModelError::ExpertRows { name: spec.key.clone(), rows, step: ROW_STEP });
            }
            let (whole, spec) = (spec.rows(), Arc::new((*spec).clone()));
            let weight = self.matrix(&spec, whole.min(rows * u64::from(places)), false).await?;
            into.weights.insert(spec.key.clone(), Arc::new(weight));
            for first in (0..whole).step_by(rows as usize) {
                let row = spec.read(self.source, first..first + 1).await?;
                self.samples = self.samples.wrapping_add(sample(&spec, first, row.chunks_exact(row.len().max(1))));
            }
            self.account(0).await?;
        }
        Ok(())
    }

    /// A matrix of the first `rows` rows, with their values or without.
    async fn matrix(&mut self, spec: &Arc<WeightSpec>, rows: u64, filled: bool) -> Result<Weight, ModelError> {
        let (cols, dtype) = (spec.cols(), spec.dtype()?);
        if !cols.is_multiple_of(32) || cols > u64::from(u32::MAX) {
            return Err(ModelError::RowLength { name: spec.parts[0].tensor.name.clone(), cols });
        }
        let limit = self.device.caps().max_binding.min(self.device.caps().max_buffer);
        let row_bytes = spec.row_bytes();
        // 2 % is what the device layout may add; a few words of alignment a plane come on top.
        let fit = ((limit - 4096.min(limit / 2)) * 98 / 100 / row_bytes).max(1);
        let step = match spec.stack {
            _ if fit >= rows => rows,
            Stack::Experts { rows } if fit < rows => {
                return Err(ModelError::Expert { name: spec.key.clone(), bytes: rows * row_bytes, most: limit });
            }
            Stack::Experts { rows } => fit / rows * rows,
            _ if fit >= CODES_STEP => fit / CODES_STEP * CODES_STEP,
            _ => (fit / ROW_STEP * ROW_STEP).max(ROW_STEP),
        };
        let mut chunks = Vec::new();
        for first in (0..rows).step_by(step as usize) {
            let count = step.min(rows - first);
            let layout = Arc::new(Layout::new(dtype, count as usize, cols as usize)?);
            let buffer = self.device.buffer(&spec.key, layout.words() as u64 * 4, Usage::Storage).await?;
            if filled {
                self.fill(spec, &buffer, first, count, &layout).await?;
            }
            let (slice, planes) = (buffer.whole(), layout.planes());
            chunks.push(Chunk { slice, first_row: first as u32, rows: count as u32, planes, start: 0, step: 1 });
        }
        Ok(Weight { name: spec.key.clone(), dtype, rows: rows as u32, cols: cols as u32, chunks })
    }

    /// Reads rows of a chunk from `chunk` on.
    async fn fill(
        &mut self,
        spec: &Arc<WeightSpec>,
        buffer: &Buffer,
        chunk: u64,
        count: u64,
        layout: &Arc<Layout>,
    ) -> Result<(), ModelError> {
        let step = (PIECE / spec.parts[0].tensor.row_bytes() / ROW_STEP * ROW_STEP).max(ROW_STEP);
        for first in (0..count).step_by(step as usize) {
            let rows = step.min(count - first);
            let (spec, layout, buffer) = (spec.clone(), layout.clone(), buffer.clone());
            self.batch.push(Piece { source: self.source, spec, layout, buffer, chunk, first, rows });
            if self.batch.len() >= parallel::width() {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Reads and repacks the waiting pieces, at once where there are threads, and writes them.
    async fn flush(&mut self) -> Result<(), ModelError> {
        let batch = std::mem::take(&mut self.batch);
        let sizes: Vec<(Buffer, u64)> = batch.iter().map(|piece| (piece.buffer.clone(), piece.bytes())).collect();
        let repacked = parallel::map(batch, |piece| Box::pin(piece.repacked())).await;
        for ((buffer, bytes), repacked) in sizes.into_iter().zip(repacked) {
            let (planes, sample) = repacked?;
            self.samples = self.samples.wrapping_add(sample);
            for (offset, words) in planes {
                self.device.write(&buffer, u64::from(offset) * 4, bytemuck::cast_slice(&words));
            }
            self.account(bytes).await?;
        }
        Ok(())
    }

    async fn account(&mut self, bytes: u64) -> Result<(), ModelError> {
        self.done += bytes;
        self.staged += bytes;
        if self.staged >= STAGING {
            self.device.finish().await?;
            self.staged = 0;
        }
        if (self.progress)(self.done) { Ok(()) } else { Err(ModelError::Cancelled) }
    }
}

/// Chunks and pieces start at multiples of this, so that planes stay word-aligned and
/// interleaved pairs together.
const ROW_STEP: u64 = if (Layout::ROW_STEP as u64).is_multiple_of(2) { Layout::ROW_STEP as u64 } else { 2 * Layout::ROW_STEP as u64 };
/// Rows of gates and ups that make a group of codes: chunks hold whole ones, where they hold so many.
const CODES_STEP: u64 = 64;
