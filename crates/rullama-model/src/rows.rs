//! Rows of a table that stays in its file: places for some of them on the GPU, which are filled as tokens need them.
//!
//! Steps find rows by [`Words::RowPlaces`](rullama_ops::Words::RowPlaces), and a row that is not there as zeros. So a step can be queued
//! before its token is known: it is right if the token's row was there when the step was queued, which only the host decides and
//! therefore knows ([`Loaded::had_row`]). What is written later, also by other sessions and into the places of rows that such a step
//! reads, comes behind it in the queue.

use crate::lru::Lru;
use crate::weights::WeightSpec;
use crate::{Loaded, ModelError};
use async_lock::Mutex;
use rullama_gpu::{Buffer, Device, Slice, Usage};
use rullama_ops::{Chunk, HostWeight, Weight};
use rullama_quant::Layout;
use rullama_source::ByteSource;
use rullama_source::gguf::TensorInfo;
use std::collections::BTreeSet;

/// Bytes of rows on the GPU where nobody says how much there is room for: 3,700 of E2B's in BF16, 9,000 in Q6_K, more different tokens
/// than a long conversation has, and a twentieth of what all take.
pub const CACHE_BYTES: u64 = 64 << 20;
/// Changed places that are written one by one; what lies between more of them is written with them.
const SINGLE: usize = 8;

/// What streaming rows took, since the load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowStats {
    /// Rows that steps wanted, each once a step.
    pub wanted: u64,
    /// Of these, how many were there.
    pub hits: u64,
    /// Bytes read from the source.
    pub bytes_read: u64,
    /// Steps that were queued before their token was known, and whose row, or that of one before them, was then not there.
    pub void_steps: u64,
}

impl RowStats {
    /// Part of the wanted rows that were there; 1 where none was wanted.
    pub fn hit_rate(&self) -> f64 {
        if self.wanted == 0 { 1.0 } else { self.hits as f64 / self.wanted as f64 }
    }

    pub fn add(&mut self, more: &RowStats) {
        self.wanted += more.wanted;
        self.hits += more.hits;
        self.bytes_read += more.bytes_read;
        self.void_steps += more.void_steps;
    }

    /// What was added since `earlier`.
    pub fn since(&self, earlier: &RowStats) -> RowStats {
        RowStats {
            wanted: self.wanted - earlier.wanted,
            hits: self.hits - earlier.hits,
            bytes_read: self.bytes_read - earlier.bytes_read,
            void_steps: self.void_steps - earlier.void_steps,
        }
    }
}

/// Rows that `bytes` of memory have places for: at least `least`, at most all, and as many as `limit` bytes bind.
pub fn slots(spec: &WeightSpec, bytes: u64, least: u32, limit: u64) -> Result<u32, ModelError> {
    let row = layout(&spec.parts[0].tensor)?.words() as u64 * 4;
    let slots = (bytes / row).max(least.into()).min(limit / row).min(spec.rows());
    Ok(slots.max(1) as u32)
}

/// Of one row.
fn layout(table: &TensorInfo) -> Result<Layout, ModelError> {
    let wrong = |_| ModelError::RowLength { name: table.name.clone(), cols: table.cols() };
    Layout::new(table.dtype()?, 1, table.cols() as usize).map_err(wrong)
}

/// Rows in the file's bits, in the order of their ids.
///
/// # Errors
/// An id outside the table; an unreadable source.
pub async fn read(source: &dyn ByteSource, table: &TensorInfo, ids: &[u32]) -> Result<Vec<Vec<u8>>, ModelError> {
    let range = |id: &u32| {
        let row = u64::from(*id);
        table.row_range(row..row + 1).ok_or_else(|| ModelError::Row { name: table.name.clone(), row, rows: table.rows() })
    };
    let ranges = ids.iter().map(range).collect::<Result<Vec<_>, _>>()?;
    Ok(source.read_many(&ranges).await?)
}

/// The rows of a step's ids and the places of the ids among them, for oracles.
///
/// # Errors
/// As [`read`].
pub async fn host(source: &dyn ByteSource, spec: &WeightSpec, ids: &[u32]) -> Result<(HostWeight, Vec<u32>), ModelError> {
    let table = &spec.parts[0].tensor;
    let distinct: Vec<u32> = distinct(ids).collect();
    let bytes = read(source, table, &distinct).await?.concat();
    let mut places = vec![0; spec.rows() as usize];
    distinct.iter().zip(1..).for_each(|(id, place)| places[*id as usize] = place);
    Ok((HostWeight { dtype: table.dtype()?, rows: distinct.len(), cols: table.cols() as usize, bytes }, places))
}

/// Each once, in order.
fn distinct(ids: &[u32]) -> impl Iterator<Item = u32> + use<> {
    ids.iter().copied().collect::<BTreeSet<u32>>().into_iter()
}

/// The places of rows, for all sessions on a device.
#[derive(Debug)]
pub struct RowCache {
    table: TensorInfo,
    /// Of each row, one behind the other.
    layout: Layout,
    rows: Buffer,
    /// Place of each id, counted from 1.
    places: Buffer,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    lru: Lru,
    stats: RowStats,
}

impl RowCache {
    /// Empty places, and the weight that graphs know them as.
    ///
    /// # Errors
    /// Rows that kernels cannot take; no GPU memory.
    pub async fn new(device: &Device, spec: &WeightSpec, slots: u32) -> Result<(Self, Weight), ModelError> {
        let table = spec.parts[0].tensor.clone();
        let layout = layout(&table)?;
        let rows = device.buffer(&spec.key, u64::from(slots) * layout.words() as u64 * 4, Usage::Storage).await?;
        let places = device.buffer("places of rows", spec.rows() * 4, Usage::Storage).await?;
        let chunk = Chunk { slice: rows.whole(), first_row: 0, rows: slots, planes: layout.planes(), start: 0, step: 1 };
        let (name, cols) = (spec.key.clone(), spec.cols() as u32);
        let weight = Weight { name, dtype: spec.dtype()?, rows: slots, cols, chunks: vec![chunk] };
        let known = Mutex::new(Known { lru: Lru::new(slots, spec.rows() as u32), stats: RowStats::default() });
        Ok((RowCache { table, layout, rows, places, known }, weight))
    }

    /// Brings the rows of these ids, if any; gives the time of what is there now.
    async fn bring(&self, device: &Device, source: &dyn ByteSource, ids: &[u32]) -> Result<u64, ModelError> {
        let mut known = self.known.lock().await;
        let Known { lru, stats } = &mut *known;
        if ids.is_empty() {
            return Ok(lru.clock());
        }
        let wanted: Vec<u32> = distinct(ids).collect();
        let missing: Vec<u32> = wanted.iter().copied().filter(|id| lru.place(*id).is_none()).collect();
        if wanted.len() > lru.places() as usize {
            let (name, rows, places) = (self.table.name.clone(), wanted.len(), lru.places());
            return Err(ModelError::RowPlaces { name, rows, places });
        }
        // Before anything loses its place.
        let read = read(source, &self.table, &missing).await?;
        let rows = read.iter().map(|bytes| self.repacked(bytes)).collect::<Result<Vec<_>, _>>()?;
        let pass = lru.pass(&wanted);
        pass.missing.iter().for_each(|one| lru.arrived(*one));
        stats.wanted += wanted.len() as u64;
        stats.hits += pass.here.len() as u64;
        stats.bytes_read += read.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
        let mut placed: Vec<(u32, &[u32])> = pass.missing.iter().zip(&rows).map(|(one, row)| (one.1, &row[..])).collect();
        placed.sort_unstable_by_key(|one| one.0);
        self.write_rows(device, &placed);
        self.write_places(device, lru, distinct(&[pass.gone, missing].concat()).collect());
        Ok(lru.clock())
    }

    /// A row as the GPU has it.
    fn repacked(&self, bytes: &[u8]) -> Result<Vec<u32>, ModelError> {
        let mut row = vec![0; self.layout.words()];
        for (offset, words) in self.layout.repack(0, bytes)? {
            row[offset as usize..][..words.len()].copy_from_slice(&words);
        }
        Ok(row)
    }

    /// Writes rows to their places, which are in order; neighbours at once.
    fn write_rows(&self, device: &Device, placed: &[(u32, &[u32])]) {
        for run in placed.chunk_by(|before, next| before.0 + 1 == next.0) {
            let words: Vec<u32> = run.iter().flat_map(|(_, row)| row.iter().copied()).collect();
            device.write(&self.rows, u64::from(run[0].0) * self.layout.words() as u64 * 4, bytemuck::cast_slice(&words));
        }
    }

    /// Writes where the rows of these ids, which are in order, are now.
    fn write_places(&self, device: &Device, lru: &Lru, ids: Vec<u32>) {
        let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return };
        let place = |id: u32| lru.place(id).map_or(0, |place| place + 1);
        let runs: Vec<_> =
            if ids.len() > SINGLE { std::iter::once(*first..*last + 1).collect() } else { ids.iter().map(|id| *id..*id + 1).collect() };
        for run in runs {
            let words: Vec<u32> = run.clone().map(place).collect();
            device.write(&self.places, u64::from(run.start) * 4, bytemuck::cast_slice(&words));
        }
    }
}

impl Loaded {
    /// Brings the rows that steps queued from now on read for these ids, where they are streamed; gives the time of their being there, for
    /// [`had_row`](Self::had_row). Whoever queues such steps has had [the turn](Self::turn) since.
    ///
    /// # Errors
    /// Rows that cannot be read, or more of them than there are places for.
    pub async fn bring_rows(&self, ids: &[u32]) -> Result<u64, ModelError> {
        match &self.rows {
            Some(rows) => rows.bring(&self.device, &*self.source, ids).await,
            None => Ok(0),
        }
    }

    /// Whether a step that was queued at that time found the row of the id that it got. One that has lost its place since counts as not
    /// found, as does one that got it back.
    pub async fn had_row(&self, id: u32, clock: u64) -> bool {
        let Some(rows) = &self.rows else { return true };
        let mut known = rows.known.lock().await;
        let had = known.lru.was_there(id, clock);
        // What was not there is wanted once more.
        known.stats.wanted += u64::from(had);
        known.stats.hits += u64::from(had);
        had
    }

    /// Whether the row of this id is there now.
    pub async fn has_row(&self, id: u32) -> bool {
        match &self.rows {
            Some(rows) => rows.known.lock().await.lru.place(id).is_some(),
            None => true,
        }
    }

    /// Counts steps that were queued in vain.
    pub async fn note_void_steps(&self, steps: usize) {
        if let Some(rows) = &self.rows {
            rows.known.lock().await.stats.void_steps += steps as u64;
        }
    }

    /// What streaming rows took since the load; `None` where all are on the GPU.
    pub async fn row_stats(&self) -> Option<RowStats> {
        Some(self.rows.as_ref()?.known.lock().await.stats)
    }

    /// Where rows are, as [`Words::RowPlaces`](rullama_ops::Words::RowPlaces).
    pub fn row_places(&self) -> Option<Slice> {
        Some(self.rows.as_ref()?.places.whole())
    }

    /// Bytes of the rows on the GPU, where they are streamed, and of what says where they are.
    pub fn row_bytes(&self) -> u64 {
        self.rows.as_ref().map_or(0, |rows| rows.rows.size() + rows.places.size())
    }

    /// Rows that there are places for; 0 where all are on the GPU.
    pub fn row_slots(&self) -> u32 {
        self.model.streamed().filter(|_| self.rows.is_some()).and_then(|of| self.weights.weight(of.key)).map_or(0, |rows| rows.rows)
    }
}
