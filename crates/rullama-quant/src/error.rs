use crate::DType;

/// What can go wrong when bytes, values or rows do not fit a format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantError {
    #[error("{dtype}: {bytes} bytes are not a whole number of {block_bytes}-byte blocks; pass whole blocks")]
    PartialBlock { dtype: DType, bytes: usize, block_bytes: usize },
    #[error("{dtype}: the bytes hold {expected} values, but the output has room for {got}; make them equal")]
    OutputLength { dtype: DType, expected: usize, got: usize },
    #[error("{dtype}: {values} values are not a multiple of the block length {block_len}; pad them or choose another format")]
    PartialValues { dtype: DType, values: usize, block_len: usize },
    #[error("{dtype}: a row of {cols} values has no device layout; it must be a positive multiple of {multiple}")]
    Columns { dtype: DType, cols: usize, multiple: usize },
    #[error("{dtype}: {rows} x {cols} values do not fit one device buffer of at most 2^32 words; split the rows, at least one of them")]
    TensorSize { dtype: DType, rows: usize, cols: usize },
    #[error("{dtype}: {bytes} bytes are not whole rows of {row_bytes} bytes; pass whole rows")]
    PartialRow { dtype: DType, bytes: usize, row_bytes: usize },
    #[error("a piece starting at row {first_row} is not aligned; start at a multiple of {step} rows")]
    PieceStart { first_row: usize, step: usize },
    #[error("the piece of rows {first_row}..{end_row} must end at a multiple of {step} rows or at the last row, {rows}")]
    PieceEnd { first_row: usize, end_row: usize, rows: usize, step: usize },
    #[error("{dtype} cannot be written here, only read; choose a format that has an encoder, such as Q4_K or Q8_0")]
    NoEncoder { dtype: DType },
}
