//! F32: plain values. Plane 0: the values, 8 vec4 a group.

use crate::bits::{chunks, chunks_mut, unit};
use crate::format::{Format, Planes};

pub(crate) static FORMAT: Format = Format {
    ggml_id: 0,
    name: "f32",
    label: "F32",
    block_len: 1,
    block_bytes: 4,
    planes: &[4],
    decode,
    encode: Some(encode),
    split,
    scale_random: |block, scale| block.copy_from_slice(&(unit(block) * scale).to_le_bytes()),
    #[cfg(test)]
    element: |device, g, e| f32::from_bits(device.word(0, 32 * g + e)),
    wgsl: crate::wgsl!("decode.wgsl"),
    codes: None,
};

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (bytes, [value]) in chunks::<4>(bytes).zip(chunks_mut(out)) {
        *value = f32::from_le_bytes(*bytes);
    }
}

fn encode(values: &[f32], out: &mut Vec<u8>) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn split(blocks: &[u8], [values, ..]: Planes<'_>) {
    values.copy_from_slice(blocks);
}
