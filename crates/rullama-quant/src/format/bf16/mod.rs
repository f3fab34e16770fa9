//! BF16: the upper half of a 32-bit float. Plane 0: the values, 4 vec4 a group, two a word.

use crate::bits::{chunks, chunks_mut, unit};
use crate::format::{Format, Planes};
use half::bf16;

pub(crate) static FORMAT: Format = Format {
    ggml_id: 30,
    name: "bf16",
    label: "BF16",
    block_len: 1,
    block_bytes: 2,
    planes: &[2],
    decode,
    encode: Some(encode),
    split,
    scale_random: |block, scale| block.copy_from_slice(&(unit(block) * scale).to_le_bytes()[2..]),
    #[cfg(test)]
    element: |device, g, e| f32::from_bits(u32::from(device.short(0, 32 * g + e)) << 16),
    wgsl: crate::wgsl!("../shared/halves.wgsl", "decode.wgsl"),
    codes: None,
};

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (bytes, [value]) in chunks::<2>(bytes).zip(chunks_mut(out)) {
        *value = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
    }
}

fn encode(values: &[f32], out: &mut Vec<u8>) {
    out.extend(values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()));
}

fn split(blocks: &[u8], [values, ..]: Planes<'_>) {
    values.copy_from_slice(blocks);
}
