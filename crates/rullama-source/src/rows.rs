//! Rows of a weight on their way from a file to a device.

use std::ops::Range;

use rullama_quant::{DType, Layout, QuantError};

use crate::source::{ByteSource, SourceError};

/// Rows that lie in a source in one run or more, and how they make a matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stacked {
    /// Whole rows; of `woven` ones two runs of one length, of which a row each follows the other.
    pub runs: Vec<Range<u64>>,
    pub woven: bool,
    /// Bytes of a row in the source.
    pub stored: usize,
    /// Bytes of a row of the matrix: zeros follow what is stored.
    pub wanted: usize,
}

impl Stacked {
    /// The matrix's rows, in the file's bits.
    ///
    /// # Errors
    /// [`SourceError`] of the first run that cannot be read.
    pub async fn read(&self, source: &dyn ByteSource) -> Result<Vec<u8>, SourceError> {
        let mut parts = Vec::with_capacity(self.runs.len());
        for run in &self.runs {
            let len = SourceError::check_range(source.name(), source.len(), run)?;
            parts.push(source.read(run.start, len).await?);
        }
        let stacked = match &parts[..] {
            [_] => parts.swap_remove(0),
            [first, second] if self.woven => self.weave(first, second),
            _ => parts.concat(),
        };
        Ok(if self.stored == self.wanted { stacked } else { self.pad(&stacked) })
    }

    fn weave(&self, first: &[u8], second: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(first.len() + second.len());
        for (a, b) in first.chunks_exact(self.stored).zip(second.chunks_exact(self.stored)) {
            out.extend_from_slice(a);
            out.extend_from_slice(b);
        }
        out
    }

    fn pad(&self, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![0; bytes.len() / self.stored * self.wanted];
        out.chunks_exact_mut(self.wanted)
            .zip(bytes.chunks_exact(self.stored))
            .for_each(|(to, from)| to[..self.stored].copy_from_slice(from));
        out
    }

    fn rows(&self) -> usize {
        self.runs.iter().map(|run| run.end.saturating_sub(run.start)).sum::<u64>() as usize / self.stored.max(1)
    }
}

/// Rows of a matrix that are to be rearranged for a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    pub layout: Layout,
    /// The first of them, counted in the layout.
    pub first: usize,
    pub stacked: Stacked,
}

/// Rows as a device has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rearranged {
    /// What goes where in the device's buffer, as [`Layout::repack`] gives it.
    pub planes: Vec<(u32, Vec<u32>)>,
    /// The first [`HEAD`] bytes of each row in the file's bits, or all where there are fewer.
    pub heads: Vec<u8>,
}

/// See [`Rearranged::heads`].
pub const HEAD: usize = 16;

impl Rows {
    /// Bytes of each row's head.
    pub fn head(&self) -> usize {
        self.stacked.wanted.min(HEAD)
    }

    /// Rearranges what [`Stacked::read`] gave.
    ///
    /// # Errors
    /// Those of [`Layout::repack`].
    pub fn rearrange(&self, bytes: &[u8]) -> Result<Rearranged, QuantError> {
        let heads = bytes.chunks_exact(self.stacked.wanted.max(1)).flat_map(|row| &row[..self.head()]);
        Ok(Rearranged { heads: heads.copied().collect(), planes: self.layout.repack(self.first, bytes)? })
    }

    /// Offset and length in words of each write to the device's buffer, as [`rearrange`](Self::rearrange) gives them, and the bytes
    /// of all heads.
    ///
    /// # Errors
    /// As [`rearrange`](Self::rearrange).
    pub fn sizes(&self) -> Result<(Vec<(u32, usize)>, usize), QuantError> {
        let rows = self.stacked.rows();
        Ok((self.layout.writes(self.first, rows)?, rows * self.head()))
    }

    /// The same as numbers, as it travels to another thread.
    pub fn to_numbers(&self) -> Vec<f64> {
        let (layout, stacked) = (&self.layout, &self.stacked);
        let sizes = [layout.rows(), layout.cols(), self.first, stacked.stored, stacked.wanted, stacked.woven.into()];
        let ends = stacked.runs.iter().flat_map(|run| [run.start, run.end]);
        let kind = f64::from(layout.dtype().ggml_id());
        // A f64 counts whole bytes up to 9 petabytes.
        std::iter::once(kind).chain(sizes.map(|n| n as f64)).chain(ends.map(|n| n as f64)).collect()
    }

    /// What [`to_numbers`](Self::to_numbers) made; `None` of anything else.
    pub fn from_numbers(numbers: &[f64]) -> Option<Self> {
        let (&[kind, rows, cols, first, stored, wanted, woven], ends) = numbers.split_first_chunk()?;
        let layout = Layout::new(DType::from_ggml(kind as u32)?, rows as usize, cols as usize).ok()?;
        let runs = ends.chunks_exact(2).map(|run| run[0] as u64..run[1] as u64).collect();
        let stacked = Stacked { runs, woven: woven != 0.0, stored: stored as usize, wanted: wanted as usize };
        Some(Rows { layout, first: first as usize, stacked })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemorySource;

    fn source() -> MemorySource {
        MemorySource::new("rows", (0..=255).collect::<Vec<u8>>())
    }

    fn read(stacked: &Stacked) -> Vec<u8> {
        pollster::block_on(stacked.read(&source())).unwrap()
    }

    #[test]
    fn runs_follow_each_other_or_are_woven_and_padded() {
        let mut stacked = Stacked { runs: vec![4..8, 20..24], woven: false, stored: 2, wanted: 2 };
        assert_eq!(read(&stacked), [4, 5, 6, 7, 20, 21, 22, 23]);
        stacked.woven = true;
        assert_eq!(read(&stacked), [4, 5, 20, 21, 6, 7, 22, 23]);
        stacked.wanted = 3;
        assert_eq!(read(&stacked), [4, 5, 0, 20, 21, 0, 6, 7, 0, 22, 23, 0]);
        stacked.runs[1].end = 260;
        let outside = pollster::block_on(stacked.read(&source()));
        assert!(matches!(outside, Err(SourceError::OutOfBounds { end: 260, .. })), "{outside:?}");
    }

    #[test]
    fn they_travel_as_numbers_and_tell_what_they_will_write() {
        for (dtype, woven) in [(DType::Q4_0, true), (DType::Q8_0, false), (DType::BF16, true)] {
            let layout = Layout::new(dtype, 12, 32).unwrap();
            let row = layout.row_bytes();
            let run = |start: usize| (start * row) as u64..((start + 2) * row) as u64;
            let rows = Rows { layout, first: 4, stacked: Stacked { runs: vec![run(0), run(1)], woven, stored: row, wanted: row } };
            assert_eq!(Rows::from_numbers(&rows.to_numbers()), Some(rows.clone()));
            let done = rows.rearrange(&read(&rows.stacked)).unwrap();
            let sizes: Vec<(u32, usize)> = done.planes.iter().map(|(offset, words)| (*offset, words.len())).collect();
            assert_eq!(rows.sizes().unwrap(), (sizes, done.heads.len()));
            assert_eq!(done.heads.len(), 4 * row.min(HEAD));
        }
        assert_eq!(Rows::from_numbers(&[2.0, 4.0]), None);
        assert_eq!(Rows::from_numbers(&[9999.0, 4.0, 32.0, 0.0, 18.0, 18.0, 0.0]), None, "no such format");
    }
}
