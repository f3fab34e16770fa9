//! From rows of a file to weights on the GPU, in bounded pieces.

use crate::ModelError;
use crate::weights::{Stack, WeightSpec, Weights};
use rullama_gpu::{Buffer, Device, Readback, Staging, Usage};
use rullama_ops::{Chunk, Weight};
use rullama_quant::Layout;
use rullama_source::rows::{Rearranged, Rows};
use rullama_source::{ByteSource, parallel};
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes read and repacked at a time.
const PIECE: u64 = 4 << 20;
/// Bytes handed to the GPU before waiting for it: what staging memory may grow to.
pub(crate) const STAGING: u64 = 64 << 20;
/// Parts of it, of which the first is waited for while the others are on their way.
const MARKS: u64 = 4;

/// Streams matrices to the GPU and keeps count.
pub struct Loader<'a> {
    pub device: &'a Device,
    pub source: &'a dyn ByteSource,
    /// Called with the bytes loaded so far; false cancels.
    pub progress: &'a mut dyn FnMut(u64) -> bool,
    done: u64,
    staging: Staging,
    /// Bytes written since the last mark.
    staged: u64,
    /// See [`samples`](Self::samples).
    samples: u64,
    /// Pieces that are being read and rearranged, in the order of the buffers' bytes.
    line: parallel::Line<'a, Result<Ready, ModelError>>,
    /// Points that the GPU may not have come to yet, from the oldest on.
    marks: VecDeque<Readback>,
}

/// Rows of a chunk on their way to its buffer.
struct Piece<'a> {
    source: &'a dyn ByteSource,
    spec: Arc<WeightSpec>,
    layout: Layout,
    buffer: Buffer,
    /// First row of the chunk in the matrix, of the piece in the chunk, and their number.
    chunk: u64,
    first: u64,
    rows: u64,
}

/// A sum over rows of a number that depends on the row's place and on the beginning of its bits: the same however a weight is cut.
fn sample<'a>(spec: &WeightSpec, first_row: u64, heads: impl Iterator<Item = &'a [u8]>) -> u64 {
    let key = spec.key.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let word = |bytes: &[u8]| bytes.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    heads
        .enumerate()
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

/// A piece on its way from there to the GPU.
struct Ready {
    buffer: Buffer,
    bytes: u64,
    rearranged: Rearranged,
    sample: u64,
}

impl Piece<'_> {
    fn bytes(&self) -> u64 {
        self.rows * self.spec.parts[0].tensor.row_bytes()
    }

    /// Read and rearranged by whoever does that for the source, else here.
    async fn ready(self) -> Result<Ready, ModelError> {
        let start = self.chunk + self.first;
        let rows = Rows { layout: self.layout, first: self.first as usize, stacked: self.spec.stacked(start..start + self.rows)? };
        let rearranged = match self.source.rearrange(&rows).await {
            Some(done) => done,
            None => rows.rearrange(&rows.stacked.read(self.source).await?)?,
        };
        let sample = sample(&self.spec, start, rearranged.heads.chunks_exact(rows.head().max(1)));
        Ok(Ready { bytes: self.bytes(), buffer: self.buffer, rearranged, sample })
    }
}

impl<'a> Loader<'a> {
    pub fn new(device: &'a Device, source: &'a dyn ByteSource, progress: &'a mut dyn FnMut(u64) -> bool) -> Self {
        // The device's layout is not much larger than the file's.
        let staging = Staging::new(device, PIECE + PIECE / 8);
        Loader {
            device,
            source,
            progress,
            done: 0,
            staging,
            staged: 0,
            samples: 0,
            line: parallel::Line::default(),
            marks: VecDeque::new(),
        }
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
            into.insert(weight);
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
            into.insert(weight);
            for first in (0..whole).step_by(rows as usize) {
                let row = spec.read(self.source, first..first + 1).await?;
                self.samples = self.samples.wrapping_add(sample(&spec, first, row.chunks(row.len().max(1))));
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
            let layout = Layout::new(dtype, count as usize, cols as usize)?;
            let buffer = self.device.buffer(&spec.key, layout.words() as u64 * 4, Usage::Storage).await?;
            if filled {
                self.fill(spec, &buffer, first, count, layout).await?;
            }
            let (slice, planes) = (buffer.whole(), layout.planes());
            chunks.push(Chunk { slice, first_row: first as u32, rows: count as u32, planes, start: 0, step: 1 });
        }
        Ok(Weight { name: spec.key.clone(), dtype, rows: rows as u32, cols: cols as u32, chunks })
    }

    /// Reads rows of a chunk from `chunk` on.
    async fn fill(&mut self, spec: &Arc<WeightSpec>, buffer: &Buffer, chunk: u64, count: u64, layout: Layout) -> Result<(), ModelError> {
        let step = (PIECE / spec.parts[0].tensor.row_bytes() / ROW_STEP * ROW_STEP).max(ROW_STEP);
        for first in (0..count).step_by(step as usize) {
            let rows = step.min(count - first);
            let piece = Piece { source: self.source, spec: spec.clone(), layout, buffer: buffer.clone(), chunk, first, rows };
            self.line.push(Box::pin(piece.ready()));
            if self.line.len() >= parallel::width().max(self.source.ahead()) {
                self.write_next().await?;
            }
        }
        Ok(())
    }

    /// Writes all pieces that are under way.
    async fn flush(&mut self) -> Result<(), ModelError> {
        while !self.line.is_empty() {
            self.write_next().await?;
        }
        Ok(())
    }

    /// Writes what comes next of the pieces that are under way.
    async fn write_next(&mut self) -> Result<(), ModelError> {
        for ready in self.line.take().await {
            let Ready { buffer, bytes, rearranged, sample } = ready?;
            self.samples = self.samples.wrapping_add(sample);
            let planes: Vec<(u64, &[u8])> =
                rearranged.planes.iter().map(|(offset, words)| (u64::from(*offset) * 4, bytemuck::cast_slice(words))).collect();
            self.staging.write(&buffer, &planes).await;
            self.account(bytes).await?;
        }
        Ok(())
    }

    /// Counts bytes, and waits for those of a while ago: the GPU takes some while others are read.
    async fn account(&mut self, bytes: u64) -> Result<(), ModelError> {
        self.done += bytes;
        self.staged += bytes;
        if self.staged >= STAGING / MARKS {
            self.staged = 0;
            let oldest = if self.marks.len() as u64 + 1 < MARKS { None } else { self.marks.pop_front() };
            let mark = match oldest {
                Some(mark) => mark.wait(self.device).await.map(|_| mark)?,
                None => Readback::new(self.device, 16).await?,
            };
            mark.start(self.device, None);
            self.marks.push_back(mark);
        }
        if (self.progress)(self.done) { Ok(()) } else { Err(ModelError::Cancelled) }
    }
}

/// Chunks and pieces start at multiples of this, so that planes stay word-aligned and
/// interleaved pairs together.
const ROW_STEP: u64 = if (Layout::ROW_STEP as u64).is_multiple_of(2) { Layout::ROW_STEP as u64 } else { 2 * Layout::ROW_STEP as u64 };
/// Rows of gates and ups that make a group of codes: chunks hold whole ones, where they hold so many.
const CODES_STEP: u64 = 64;
