//! Rows of a table that stays in its file, read as tokens need them.

use crate::ModelError;
use rullama_source::ByteSource;
use rullama_source::gguf::TensorInfo;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

/// Bytes of rows kept; E2B's BF16 rows are 17,920 bytes.
const CACHE_BYTES: usize = 4 << 20;

/// Columns of the rows of some ids.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    pub ids: &'a [u32],
    pub columns: Range<usize>,
}

/// Gives `scale * table[id]`, dequantised on the host, through a cache of recent rows.
pub struct RowProvider {
    source: Arc<dyn ByteSource>,
    table: TensorInfo,
    scale: f32,
    /// Whole rows by id, with the tick of their last use.
    cache: HashMap<u32, (Vec<u8>, u64)>,
    tick: u64,
}

impl RowProvider {
    pub fn new(source: Arc<dyn ByteSource>, table: TensorInfo, scale: f32) -> Self {
        RowProvider { source, table, scale, cache: HashMap::new(), tick: 0 }
    }

    /// The wanted columns `[ids, columns]` of each request, one batch read for the rows that are not cached. Of a row only the
    /// blocks up to the last wanted column are read.
    pub async fn gather(&mut self, wanted: &[Wanted<'_>]) -> Result<Vec<Vec<f32>>, ModelError> {
        let dtype = self.table.dtype()?;
        let blocks = |end: usize| end.next_multiple_of(dtype.block_len());
        let row_bytes = |cols: usize| {
            let wrong = ModelError::RowLength { name: self.table.name.clone(), cols: cols as u64 };
            dtype.row_bytes(cols).ok_or(wrong)
        };
        // What is not cached, with the columns that the farthest request needs.
        let mut missing: BTreeMap<u32, usize> = BTreeMap::new();
        for want in wanted {
            for id in want.ids.iter().filter(|id| !self.cache.contains_key(id)) {
                let end = missing.entry(*id).or_default();
                *end = blocks(want.columns.end).max(*end);
            }
        }
        let mut ranges = Vec::with_capacity(missing.len());
        for (id, end) in &missing {
            let outside = ModelError::Row { name: self.table.name.clone(), row: u64::from(*id), rows: self.table.rows() };
            let start = self.table.row_range(u64::from(*id)..u64::from(*id) + 1).ok_or(outside)?.start;
            ranges.push(start..start + row_bytes(*end)? as u64);
        }
        let read = self.source.read_many(&ranges).await?;
        let fresh: HashMap<u32, Vec<u8>> = missing.keys().copied().zip(read).collect();
        self.tick += 1;
        let mut out = Vec::with_capacity(wanted.len());
        for want in wanted {
            let end = blocks(want.columns.end);
            let (mut decoded, bytes) = (vec![0.0; end], row_bytes(end)?);
            let mut values = Vec::with_capacity(want.ids.len() * want.columns.len());
            for id in want.ids {
                let bits = match self.cache.get_mut(id) {
                    Some((bits, used)) => {
                        *used = self.tick;
                        &bits[..bytes]
                    }
                    None => &fresh[id][..bytes],
                };
                rullama_quant::decode(dtype, bits, &mut decoded)?;
                values.extend(decoded[want.columns.clone()].iter().map(|v| v * self.scale));
            }
            out.push(values);
        }
        let whole = self.table.row_bytes() as usize;
        self.keep(fresh.into_iter().filter(|(_, bits)| bits.len() == whole));
        Ok(out)
    }

    fn keep(&mut self, fresh: impl Iterator<Item = (u32, Vec<u8>)>) {
        let tick = self.tick;
        self.cache.extend(fresh.map(|(id, bits)| (id, (bits, tick))));
        let most = (CACHE_BYTES / self.table.row_bytes().max(1) as usize).max(1);
        if self.cache.len() > most {
            let mut ages: Vec<u64> = self.cache.values().map(|v| v.1).collect();
            ages.sort_unstable();
            let oldest_kept = ages[ages.len() - most / 2 - 1];
            self.cache.retain(|_, v| v.1 >= oldest_kept);
            if self.cache.len() > most {
                self.cache.clear();
            }
        }
    }
}
