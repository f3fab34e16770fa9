//! Shapes and number formats of values.

use crate::kv::KvType;
use rullama_quant::DType;

/// How a value's numbers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Number {
    F32,
    /// Plain words of 32 bits.
    Words,
    /// Codes of 8 bits, 32 to a scale: see [`crate::codes`].
    Codes,
    /// Halves, 32 to a scale: see [`crate::halves`].
    Halves,
    /// Blocks of a weight format.
    Weight(DType),
    /// Keys or values in a cache.
    Kv(KvType),
}

/// Shape and number format of a value; 0 rows of a cache or columns of words stand for "as many as there are".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Type {
    pub rows: u32,
    pub cols: u32,
    pub number: Number,
}

impl Type {
    pub fn f32(rows: u32, cols: u32) -> Self {
        Type { rows, cols, number: Number::F32 }
    }

    pub fn words(count: u32) -> Self {
        Type { rows: 1, cols: count, number: Number::Words }
    }

    pub fn cache(width: u32, kv: KvType) -> Self {
        Type { rows: 0, cols: width, number: Number::Kv(kv) }
    }

    pub fn codes(rows: u32, cols: u32) -> Self {
        Type { rows, cols, number: Number::Codes }
    }

    pub fn halves(rows: u32, cols: u32) -> Self {
        Type { rows, cols, number: Number::Halves }
    }

    /// Bytes of a plain value, of codes or of halves.
    pub fn bytes(&self) -> u64 {
        match self.number {
            Number::Codes => crate::codes::planes(self.rows, self.cols).iter().sum(),
            Number::Halves => crate::halves::planes(self.rows, self.cols).iter().sum(),
            _ => u64::from(self.rows) * u64::from(self.cols) * 4,
        }
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Type { rows, cols, number } = self;
        match number {
            Number::F32 => write!(f, "[{rows}, {cols}]"),
            Number::Words => write!(f, "{cols} words"),
            Number::Codes => write!(f, "codes [{rows}, {cols}]"),
            Number::Halves => write!(f, "halves [{rows}, {cols}]"),
            Number::Weight(dtype) => write!(f, "{dtype} [{rows}, {cols}]"),
            Number::Kv(kv) => write!(f, "a cache of width {cols} in {kv:?}"),
        }
    }
}
