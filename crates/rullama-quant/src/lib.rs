//! Weight formats of GGUF files: what a block of bytes means, on the CPU and on the GPU.
//!
//! A format is a folder under `format/`: block layout, [`decode`] (the plain CPU reading),
//! [`encode`] (ggml's reference quantiser), the split into device planes ([`Layout`]) and the
//! WGSL module that reads them ([`wgsl()`]). A new format is such a folder and a line in the list
//! below; everything above works from the list.
//!
//! ```
//! use rullama_quant::{DType, Layout, decode, encode};
//!
//! let values: Vec<f32> = (0..64).map(|i| (i as f32 * 0.3).sin()).collect();
//! let mut bytes = Vec::new();
//! encode(DType::Q8_0, &values, &mut bytes)?;
//! assert_eq!(bytes.len(), DType::Q8_0.row_bytes(64).unwrap());
//!
//! let mut back = [0.0; 64];
//! decode(DType::Q8_0, &bytes, &mut back)?;
//! assert!(values.iter().zip(back).all(|(a, b)| (a - b).abs() < 0.005));
//!
//! let layout = Layout::new(DType::Q8_0, 1, 64)?;
//! let mut buffer = vec![0u32; layout.words()];
//! for (offset, words) in layout.repack(0, &bytes)? {
//!     buffer[offset as usize..][..words.len()].copy_from_slice(&words);
//! }
//! # Ok::<(), rullama_quant::QuantError>(())
//! ```

pub mod bare;
mod bits;
#[cfg(test)]
mod device;
mod error;
mod format;
mod layout;
#[cfg(test)]
mod layout_tests;
pub mod mix;
mod search;

use std::fmt;

pub use error::QuantError;
pub use layout::Layout;

use format::Format;

/// Declares [`DType`] and ties every variant to its folder.
macro_rules! formats {
    ($($variant:ident => $folder:ident,)*) => {
        /// Type of the values of a weight.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DType {
            $(
                #[doc = concat!("`", stringify!($folder), "`")]
                $variant,
            )*
        }

        impl DType {
            /// Every format.
            pub const ALL: &[DType] = &[$(DType::$variant),*];

            fn format(self) -> &'static Format {
                match self {
                    $(DType::$variant => &format::$folder::FORMAT,)*
                }
            }
        }
    };
}

formats! {
    F32 => f32,
    F16 => f16,
    BF16 => bf16,
    Q4_0 => q4_0,
    Q4_1 => q4_1,
    Q5_0 => q5_0,
    Q5_1 => q5_1,
    Q8_0 => q8_0,
    Q2K => q2_k,
    Q3K => q3_k,
    Q4K => q4_k,
    Q5K => q5_k,
    Q6K => q6_k,
    Iq4Nl => iq4_nl,
    Iq4Xs => iq4_xs,
    Mxfp4 => mxfp4,
}

impl DType {
    /// The format with a type id of GGUF, if it is one of ours.
    pub fn from_ggml(id: u32) -> Option<DType> {
        DType::ALL.iter().copied().find(|dtype| dtype.ggml_id() == id)
    }

    /// Type id in a GGUF file.
    pub fn ggml_id(self) -> u32 {
        self.format().ggml_id
    }

    /// Name as in file names: `q4_k`.
    pub fn name(self) -> &'static str {
        self.format().name
    }

    /// Name as people write it: `Q4_K`.
    pub fn label(self) -> &'static str {
        self.format().label
    }

    /// Values in a block; 1 for the plain formats.
    pub fn block_len(self) -> usize {
        self.format().block_len
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        self.format().block_bytes
    }

    /// Whether the format stores codes, which products of whole numbers take ([`codes_wgsl`]), and no values.
    pub fn has_codes(self) -> bool {
        self.format().codes.is_some()
    }

    /// Bytes of a row of `cols` values; `None` if it is not whole blocks, or too long to count.
    pub fn row_bytes(self, cols: usize) -> Option<usize> {
        let blocks = cols / self.block_len();
        if !cols.is_multiple_of(self.block_len()) {
            return None;
        }
        blocks.checked_mul(self.block_bytes())
    }
}

/// Writes the [`DType::label`].
impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

/// Decodes whole blocks of a file into values, bit for bit as ggml's `dequantize_row_*`.
///
/// # Errors
/// [`QuantError::PartialBlock`] and [`QuantError::OutputLength`] when lengths do not fit.
pub fn decode(dtype: DType, bytes: &[u8], out: &mut [f32]) -> Result<(), QuantError> {
    let format = dtype.format();
    let block_bytes = format.block_bytes;
    if !bytes.len().is_multiple_of(block_bytes) {
        return Err(QuantError::PartialBlock { dtype, bytes: bytes.len(), block_bytes });
    }
    let expected = bytes.len() / block_bytes * format.block_len;
    if out.len() != expected {
        return Err(QuantError::OutputLength { dtype, expected, got: out.len() });
    }
    (format.decode)(bytes, out);
    Ok(())
}

/// Appends the blocks of `values` to `out`, byte for byte as ggml's `quantize_row_*_ref`.
///
/// # Errors
/// [`QuantError::PartialValues`] unless the values fill whole blocks;
/// [`QuantError::NoEncoder`] for formats that are only read.
pub fn encode(dtype: DType, values: &[f32], out: &mut Vec<u8>) -> Result<(), QuantError> {
    let format = dtype.format();
    let block_len = format.block_len;
    let encode = format.encode.ok_or(QuantError::NoEncoder { dtype })?;
    if !values.len().is_multiple_of(block_len) {
        return Err(QuantError::PartialValues { dtype, values: values.len(), block_len });
    }
    encode(values, out);
    Ok(())
}

/// Turns random bits, a whole number of blocks, into weights of about `scale`: codes stay as random as they are,
/// scale fields are set. Their root mean square lies between `scale / 3` and `2 * scale`.
///
/// # Errors
/// [`QuantError::PartialBlock`].
pub fn scale_random(dtype: DType, bits: &mut [u8], scale: f32) -> Result<(), QuantError> {
    let format = dtype.format();
    if !bits.len().is_multiple_of(format.block_bytes) {
        return Err(QuantError::PartialBlock { dtype, bytes: bits.len(), block_bytes: format.block_bytes });
    }
    bits.chunks_exact_mut(format.block_bytes).for_each(|block| (format.scale_random)(block, scale));
    Ok(())
}

/// Text of a format's decode module, to be included in a kernel that reads one weight buffer.
///
/// It defines, for the planes of [`Layout::planes`] and a group index `g`,
/// - `fn decode_group(planes: vec4<u32>, g: u32) -> array<vec4<f32>, 8>`, the 32 values;
/// - `fn decode4(planes: vec4<u32>, g: u32, j: u32) -> vec4<f32>`, values 4j..4j+4 of them.
///
/// The kernel defines the accessors `fn w4(i: u32) -> vec4<u32>`, the i-th 16 bytes of the
/// buffer, and `fn w1(i: u32) -> u32`, its i-th word. All other names begin with `decode_`.
pub fn wgsl(dtype: DType) -> &'static str {
    dtype.format().wgsl
}

/// Text of the module that gives a format's codes for products of whole numbers, to be included beside [`wgsl()`]; `None` for formats
/// that store values.
///
/// It defines, for a group index `g`,
/// - `fn codes_group(planes: vec4<u32>, g: u32) -> Codes`, of which the kernel defines `struct Codes { lo: vec4<u32>, hi: vec4<u32>,
///   s: vec4<f32> }`: signed bytes `q`, values 0..16 in `lo`, 16..32 in `hi`, so that `w = s.x q + s.z` of the first half and
///   `s.y q + s.w` of the second;
/// - `const CODES_ONE_SCALE: bool`, whether both halves share scale and offset.
pub fn codes_wgsl(dtype: DType) -> Option<&'static str> {
    dtype.format().codes
}
