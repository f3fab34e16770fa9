//! Tensor types as ggml numbers them, and the index from names to byte ranges.

use std::ops::Range;

use rullama_quant::DType;

use super::error::GgufError;

/// A ggml tensor type with a known size, whether or not it can be computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GgmlType(&'static Row);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Row {
    id: u32,
    name: &'static str,
    block: u64,
    bytes: u64,
}

const fn row(id: u32, name: &'static str, block: u64, bytes: u64) -> Row {
    Row { id, name, block, bytes }
}

/// `enum ggml_type` (`ggml.h`), without the removed ids.
static TYPES: [Row; 35] = [
    row(0, "F32", 1, 4),
    row(1, "F16", 1, 2),
    row(2, "Q4_0", 32, 18),
    row(3, "Q4_1", 32, 20),
    row(6, "Q5_0", 32, 22),
    row(7, "Q5_1", 32, 24),
    row(8, "Q8_0", 32, 34),
    row(9, "Q8_1", 32, 36),
    row(10, "Q2_K", 256, 84),
    row(11, "Q3_K", 256, 110),
    row(12, "Q4_K", 256, 144),
    row(13, "Q5_K", 256, 176),
    row(14, "Q6_K", 256, 210),
    row(15, "Q8_K", 256, 292),
    row(16, "IQ2_XXS", 256, 66),
    row(17, "IQ2_XS", 256, 74),
    row(18, "IQ3_XXS", 256, 98),
    row(19, "IQ1_S", 256, 50),
    row(20, "IQ4_NL", 32, 18),
    row(21, "IQ3_S", 256, 110),
    row(22, "IQ2_S", 256, 82),
    row(23, "IQ4_XS", 256, 136),
    row(24, "I8", 1, 1),
    row(25, "I16", 1, 2),
    row(26, "I32", 1, 4),
    row(27, "I64", 1, 8),
    row(28, "F64", 1, 8),
    row(29, "IQ1_M", 256, 56),
    row(30, "BF16", 1, 2),
    row(34, "TQ1_0", 256, 54),
    row(35, "TQ2_0", 256, 66),
    row(39, "MXFP4", 32, 17),
    row(40, "NVFP4", 64, 36),
    row(41, "Q1_0", 128, 18),
    row(42, "Q2_0", 64, 18),
];

impl GgmlType {
    /// 32-bit floats, the type of norms and scales.
    pub const F32: Self = Self(&TYPES[0]);

    /// The type with this id, if it is known and was not removed.
    pub fn from_id(id: u32) -> Option<Self> {
        TYPES.iter().find(|row| row.id == id).map(Self)
    }

    /// Id in the file.
    pub fn id(self) -> u32 {
        self.0.id
    }

    /// Name as llama.cpp prints it.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Elements in a block.
    pub fn block_len(self) -> u64 {
        self.0.block
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> u64 {
        self.0.bytes
    }

    /// The format to compute with, if there is one.
    pub fn dtype(self) -> Option<DType> {
        DType::from_ggml(self.0.id)
    }

    /// Bytes of a tensor of these dimensions (`ne` order).
    ///
    /// # Errors
    /// [`GgufError::BlockShape`] and [`GgufError::SizeOverflow`], naming `tensor`.
    pub fn tensor_bytes(self, tensor: &str, dims: &[u64]) -> Result<u64, GgufError> {
        let overflow = || GgufError::SizeOverflow { tensor: tensor.to_owned(), dims: dims.to_vec() };
        let elements = dims.iter().try_fold(1u64, |n, &d| n.checked_mul(d)).ok_or_else(overflow)?;
        let cols = dims.first().copied().unwrap_or(1);
        if cols % self.block_len() != 0 {
            return Err(GgufError::BlockShape { tensor: tensor.to_owned(), cols, type_name: self.name(), block: self.block_len() });
        }
        (elements / self.block_len()).checked_mul(self.block_bytes()).ok_or_else(overflow)
    }
}

impl From<DType> for GgmlType {
    fn from(dtype: DType) -> Self {
        // Every DType's id stands in the table; a test holds the two together.
        Self::from_id(dtype.ggml_id()).unwrap_or(Self::F32)
    }
}

/// The format of a tensor's bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TensorType {
    /// One to compute with.
    Known(DType),
    /// One with a size but no arithmetic here; an error only when the tensor is used.
    Unsupported(GgmlType),
}

impl From<GgmlType> for TensorType {
    fn from(ggml: GgmlType) -> Self {
        ggml.dtype().map_or(Self::Unsupported(ggml), Self::Known)
    }
}

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name as in the file.
    pub name: String,
    /// Dimensions in `ne` order: the first varies fastest. `[in, out]` is a matrix of `out` rows.
    pub dims: Vec<u64>,
    /// Format of the bits.
    pub kind: TensorType,
    /// Bytes in the source, absolute.
    pub range: Range<u64>,
}

impl TensorInfo {
    /// The format to compute with.
    ///
    /// # Errors
    /// [`GgufError::UnsupportedType`], naming the tensor.
    pub fn dtype(&self) -> Result<DType, GgufError> {
        match self.kind {
            TensorType::Known(dtype) => Ok(dtype),
            TensorType::Unsupported(ggml) => Err(GgufError::UnsupportedType { tensor: self.name.clone(), type_name: ggml.name() }),
        }
    }

    /// The type as ggml numbers it.
    pub fn ggml_type(&self) -> GgmlType {
        match self.kind {
            TensorType::Known(dtype) => dtype.into(),
            TensorType::Unsupported(ggml) => ggml,
        }
    }

    /// Length of a row: the first dimension.
    pub fn cols(&self) -> u64 {
        self.dims.first().copied().unwrap_or(1)
    }

    /// Number of rows: the product of the other dimensions.
    pub fn rows(&self) -> u64 {
        self.dims.iter().skip(1).product()
    }

    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.cols() * self.rows()
    }

    /// Bytes in the file.
    pub fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Bytes of one row.
    pub fn row_bytes(&self) -> u64 {
        let ggml = self.ggml_type();
        self.cols() / ggml.block_len() * ggml.block_bytes()
    }

    /// Absolute bytes of `rows`, if they lie inside the tensor.
    pub fn row_range(&self, rows: Range<u64>) -> Option<Range<u64>> {
        let inside = rows.start <= rows.end && rows.end <= self.rows();
        let at = |row: u64| self.range.start + row * self.row_bytes();
        inside.then(|| at(rows.start)..at(rows.end))
    }
}

/// The tensors of a file, in file order and by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TensorIndex {
    tensors: Vec<TensorInfo>,
    /// Indices into `tensors`, sorted by name.
    order: Vec<u32>,
}

impl TensorIndex {
    /// From tensors in file order.
    ///
    /// # Errors
    /// [`GgufError::Duplicate`] and [`GgufError::Overlap`].
    pub fn new(tensors: Vec<TensorInfo>) -> Result<Self, GgufError> {
        let at = |i: u32| &tensors[i as usize];
        let mut order: Vec<u32> = (0..tensors.len() as u32).collect();
        order.sort_unstable_by_key(|&i| (at(i).range.start, at(i).range.end));
        if let Some(pair) = order.windows(2).find(|p| at(p[1]).range.start < at(p[0]).range.end) {
            let (first, second) = (at(pair[0]).name.clone(), at(pair[1]).name.clone());
            return Err(GgufError::Overlap { first, second });
        }
        order.sort_unstable_by(|&a, &b| at(a).name.cmp(&at(b).name));
        if let Some(pair) = order.windows(2).find(|p| at(p[0]).name == at(p[1]).name) {
            return Err(GgufError::Duplicate { kind: "tensor", name: at(pair[0]).name.clone() });
        }
        Ok(Self { tensors, order })
    }

    /// The tensor called `name`, if there is one.
    pub fn get(&self, name: &str) -> Option<&TensorInfo> {
        let at = |i: u32| self.tensors[i as usize].name.as_str();
        let found = self.order.binary_search_by(|&i| at(i).cmp(name)).ok()?;
        self.tensors.get(self.order[found] as usize)
    }

    /// The tensor called `name`.
    ///
    /// # Errors
    /// [`GgufError::MissingTensor`].
    pub fn require(&self, name: &str) -> Result<&TensorInfo, GgufError> {
        self.get(name).ok_or_else(|| GgufError::MissingTensor { tensor: name.to_owned() })
    }

    /// Whether there is a tensor called `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Tensors in file order.
    pub fn iter(&self) -> std::slice::Iter<'_, TensorInfo> {
        self.tensors.iter()
    }

    /// The tensors themselves, in file order.
    pub fn into_vec(self) -> Vec<TensorInfo> {
        self.tensors
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }
}

impl<'a> IntoIterator for &'a TensorIndex {
    type Item = &'a TensorInfo;
    type IntoIter = std::slice::Iter<'a, TensorInfo>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_agrees_with_the_formats() {
        for &dtype in DType::ALL {
            let ggml = GgmlType::from_id(dtype.ggml_id()).unwrap();
            assert_eq!(GgmlType::from(dtype), ggml);
            assert_eq!(ggml.dtype(), Some(dtype));
            assert_eq!(ggml.name(), dtype.label());
            assert_eq!(ggml.block_len(), dtype.block_len() as u64);
            assert_eq!(ggml.block_bytes(), dtype.block_bytes() as u64);
        }
        for removed in [4, 5, 31, 32, 33, 36, 37, 38, 43, u32::MAX] {
            assert_eq!(GgmlType::from_id(removed), None);
        }
        assert_eq!(GgmlType::from_id(40).unwrap().dtype(), None);
    }
}
