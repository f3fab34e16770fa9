/// A block format: its sizes, its arithmetic, and how its bits lie on the device.
///
/// Every folder beside this file defines one constant of this type.
pub(crate) struct Format {
    /// Type id in a GGUF file.
    pub ggml_id: u32,
    /// File-style name, `q4_k`.
    pub name: &'static str,
    /// The name people write, `Q4_K`.
    pub label: &'static str,
    /// Values in a block.
    pub block_len: usize,
    /// Bytes of a block in the file.
    pub block_bytes: usize,
    /// Bytes that each device plane takes of a block. Their sum is `block_bytes`: a plane holds
    /// the file's bits, only in another order.
    pub planes: &'static [usize],
    /// Values of whole blocks; lengths are already checked.
    pub decode: fn(&[u8], &mut [f32]),
    /// Appends the blocks of the values; lengths are already checked.
    pub encode: Option<Encode>,
    /// Splits whole blocks into the planes, each exactly as long as `planes` says.
    pub split: fn(&[u8], Planes<'_>),
    /// Makes a block of random bits one of values of about this magnitude, by its scale fields alone.
    pub scale_random: fn(&mut [u8], f32),
    /// Element `e` of group `g`, read from the device layout one element at a time.
    #[cfg(test)]
    pub element: fn(&crate::device::Device<'_>, usize, usize) -> f32,
    /// Text of the decode module for the GPU.
    pub wgsl: &'static str,
    /// Text of the module that gives codes in place of values; `None` where values are stored.
    pub codes: Option<&'static str>,
}

/// Appends the blocks of values.
pub(crate) type Encode = fn(&[f32], &mut Vec<u8>);

/// The bytes of the planes that some blocks are split into; unused planes are empty.
pub(crate) type Planes<'a> = [&'a mut [u8]; 4];
