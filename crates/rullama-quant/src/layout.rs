use bytemuck::cast_slice_mut;

use crate::{DType, QuantError};

/// Where the bits of a `[rows, cols]` weight lie in its device buffer, and the way there.
///
/// The file's blocks mix codes and scales at odd offsets. On the device the same bits are split
/// into up to four *planes*, one after the other in a single buffer of `u32` words, so that 32
/// consecutive elements of a row, a *group*, are read with few aligned 16-byte loads. Group
/// `g = row * (cols / 32) + group_in_row`; the planes of a format are listed in its folder.
///
/// - 4-bit codes: 4 words a group; word i holds elements 8i..8i+8: the low nibbles of its bytes
///   0..4 are elements 8i..8i+4, the high nibbles elements 8i+4..8i+8.
/// - 2-bit codes: 2 words a group; bits 2k..2k+2 of byte b of word i are element 16i + 4k + b.
/// - 1-bit codes: a word a group, bit e is element e.
/// - everything else keeps the file's byte order.
///
/// Each plane starts at a multiple of 4 words; what lies between two planes is unused.
///
/// ```
/// use rullama_quant::{DType, Layout};
/// let layout = Layout::new(DType::Q4_0, 3, 64)?;
/// assert_eq!(layout.planes(), [0, 24, 0, 0]); // 6 groups of 4 words, then 6 halves
/// assert_eq!(layout.words(), 28);
/// let writes = layout.repack(0, &[0; 3 * 36])?;
/// assert_eq!(writes[1], (24, vec![0; 3]));
/// # Ok::<(), rullama_quant::QuantError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    dtype: DType,
    rows: usize,
    cols: usize,
    row_bytes: usize,
    planes: [u32; 4],
    words: usize,
}

impl Layout {
    /// A piece must start at a multiple of this many rows, so that each of its planes starts at
    /// a whole word (the finest plane takes a byte of a one-group row).
    pub const ROW_STEP: usize = 4;

    /// The layout of a weight of `rows` rows of `cols` values.
    ///
    /// # Errors
    /// [`QuantError::Columns`] unless `cols` is a positive multiple of 32 and of the block
    /// length; [`QuantError::TensorSize`] without rows or from 2^32 words on.
    pub fn new(dtype: DType, rows: usize, cols: usize) -> Result<Layout, QuantError> {
        let multiple = dtype.block_len().max(32);
        let row_bytes = dtype.row_bytes(cols).filter(|_| cols > 0 && cols.is_multiple_of(multiple));
        let row_bytes = row_bytes.ok_or(QuantError::Columns { dtype, cols, multiple })?;
        let too_large = || QuantError::TensorSize { dtype, rows, cols };
        let blocks = (rows as u64).checked_mul((cols / dtype.block_len()) as u64);
        let blocks = blocks.filter(|&blocks| blocks > 0).ok_or_else(too_large)?;

        let mut planes = [0; 4];
        let mut words = 0u64;
        for (start, &bytes) in planes.iter_mut().zip(dtype.format().planes) {
            *start = words as u32;
            let bytes = blocks.checked_mul(bytes as u64).ok_or_else(too_large)?;
            words += bytes.div_ceil(16) * 4;
            if words > u64::from(u32::MAX) {
                return Err(too_large());
            }
        }
        let words = usize::try_from(words).map_err(|_| too_large())?;
        Ok(Layout { dtype, rows, cols, row_bytes, planes, words })
    }

    pub fn dtype(&self) -> DType {
        self.dtype
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Bytes of a row in the file.
    pub fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// Length of the device buffer in `u32` words, a multiple of 4.
    pub fn words(&self) -> usize {
        self.words
    }

    /// Start of each plane in `u32` words, a multiple of 4; 0 for a plane that is not there.
    pub fn planes(&self) -> [u32; 4] {
        self.planes
    }

    /// Rearranges whole rows of the file, from `first_row` on, into the writes they make to the
    /// device buffer: (offset in words, words). A buffer may be filled in any order of pieces;
    /// bits behind the last row are zero.
    ///
    /// # Errors
    /// [`QuantError::PieceStart`], [`QuantError::PieceEnd`] and [`QuantError::PartialRow`] for
    /// pieces that are not whole rows or not aligned to [`Layout::ROW_STEP`].
    pub fn repack(&self, first_row: usize, bytes: &[u8]) -> Result<Vec<(u32, Vec<u32>)>, QuantError> {
        if !bytes.len().is_multiple_of(self.row_bytes) {
            let (dtype, row_bytes) = (self.dtype, self.row_bytes);
            return Err(QuantError::PartialRow { dtype, bytes: bytes.len(), row_bytes });
        }
        let count = bytes.len() / self.row_bytes;
        let places = self.writes(first_row, count)?;
        if count == 0 {
            return Ok(Vec::new());
        }
        let format = self.dtype.format();
        let row_blocks = self.cols / format.block_len;
        let mut writes: Vec<(u32, Vec<u32>)> = places.into_iter().map(|(offset, words)| (offset, vec![0; words])).collect();
        let mut parts = writes
            .iter_mut()
            .zip(format.planes)
            .map(|((_, words), &plane_bytes)| &mut cast_slice_mut::<u32, u8>(words)[..count * row_blocks * plane_bytes]);
        let planes = [(); 4].map(|()| parts.next().unwrap_or_default());
        drop(parts);
        (format.split)(bytes, planes);

        for (_, words) in &mut writes {
            words.iter_mut().for_each(|word| *word = u32::from_le(*word));
        }
        Ok(writes)
    }

    /// Offset and length, in words, of the writes that [`repack`](Self::repack) makes of `count` rows.
    ///
    /// # Errors
    /// As [`repack`](Self::repack).
    pub fn writes(&self, first_row: usize, count: usize) -> Result<Vec<(u32, usize)>, QuantError> {
        let step = Self::ROW_STEP;
        if !first_row.is_multiple_of(step) {
            return Err(QuantError::PieceStart { first_row, step });
        }
        let end_row = first_row.saturating_add(count);
        if end_row > self.rows || (end_row < self.rows && !end_row.is_multiple_of(step)) {
            return Err(QuantError::PieceEnd { first_row, end_row, rows: self.rows, step });
        }
        let format = self.dtype.format();
        let row_blocks = self.cols / format.block_len;
        let planes = self.planes.iter().zip(format.planes);
        let write = |(&start, &plane_bytes): (&u32, &usize)| {
            let row_plane = row_blocks * plane_bytes;
            // Below the buffer's length in words, so it fits.
            let offset = (first_row as u64 * row_plane as u64 / 4) as u32;
            (start + offset, (count * row_plane).div_ceil(4))
        };
        Ok(planes.map(write).collect())
    }
}
