//! Rows of the per-layer embedding table, read from the source as tokens need them.

use crate::ModelError;
use rullama_source::ByteSource;
use rullama_source::gguf::TensorInfo;
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of rows kept; E2B's BF16 rows are 17,920 bytes.
const CACHE_BYTES: usize = 4 << 20;

/// Gives `sqrt(width) * table[id]`, dequantised on the host, through a cache of recent rows.
pub struct RowProvider {
    source: Arc<dyn ByteSource>,
    table: TensorInfo,
    scale: f32,
    /// Whole rows by id, with the tick of their last use.
    cache: HashMap<u32, (Vec<u8>, u64)>,
    tick: u64,
}

impl RowProvider {
    pub fn new(source: Arc<dyn ByteSource>, table: TensorInfo, width: u32) -> Self {
        RowProvider { source, table, scale: (width as f32).sqrt(), cache: HashMap::new(), tick: 0 }
    }

    /// Columns `.. cols` of the rows of `ids`, one batch read for those not cached. Only the
    /// blocks of those columns are read.
    pub async fn rows(&mut self, ids: &[u32], cols: usize) -> Result<Vec<f32>, ModelError> {
        let dtype = self.table.dtype()?;
        let blocks = cols.next_multiple_of(dtype.block_len());
        let whole = blocks as u64 == self.table.cols();
        let bytes = dtype.row_bytes(blocks).ok_or_else(|| ModelError::RowLength { name: self.table.name.clone(), cols: cols as u64 })?;
        let mut missing: Vec<u32> = ids.iter().copied().filter(|id| !self.cache.contains_key(id)).collect();
        missing.sort_unstable();
        missing.dedup();
        let mut ranges = Vec::with_capacity(missing.len());
        for id in &missing {
            let outside = ModelError::Row { name: self.table.name.clone(), row: u64::from(*id), rows: self.table.rows() };
            let start = self.table.row_range(u64::from(*id)..u64::from(*id) + 1).ok_or(outside)?.start;
            ranges.push(start..start + bytes as u64);
        }
        let read = self.source.read_many(&ranges).await?;
        let fresh: HashMap<u32, Vec<u8>> = missing.into_iter().zip(read).collect();
        let mut out = vec![0.0; ids.len() * cols];
        let mut decoded = vec![0.0; blocks];
        self.tick += 1;
        for (id, row) in ids.iter().zip(out.chunks_exact_mut(cols)) {
            let bits = match self.cache.get_mut(id) {
                Some((bits, used)) => {
                    *used = self.tick;
                    &bits[..bytes]
                }
                None => &fresh[id][..],
            };
            rullama_quant::decode(dtype, bits, &mut decoded)?;
            row.iter_mut().zip(&decoded).for_each(|(out, v)| *out = v * self.scale);
        }
        if whole {
            self.keep(fresh);
        }
        Ok(out)
    }

    fn keep(&mut self, fresh: HashMap<u32, Vec<u8>>) {
        let tick = self.tick;
        self.cache.extend(fresh.into_iter().map(|(id, bits)| (id, (bits, tick))));
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
