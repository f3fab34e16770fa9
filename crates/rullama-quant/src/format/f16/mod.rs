//! F16: IEEE half floats. Plane 0: the values, 4 vec4 a group, two a word.

use crate::bits::{chunks, chunks_mut, half_bytes, put_half, unit};
use crate::format::{Format, Planes};
use half::f16;

pub(crate) static FORMAT: Format = Format {
    ggml_id: 1,
    name: "f16",
    label: "F16",
    block_len: 1,
    block_bytes: 2,
    planes: &[2],
    decode,
    encode: Some(encode),
    split,
    scale_random: |block, scale| put_half(block, 0, unit(block) * scale),
    #[cfg(test)]
    element: |device, g, e| device.half(0, 32 * g + e),
    wgsl: crate::wgsl!("../shared/halves.wgsl", "decode.wgsl"),
    codes: None,
};

fn decode(bytes: &[u8], out: &mut [f32]) {
    for (bytes, [value]) in chunks::<2>(bytes).zip(chunks_mut(out)) {
        *value = f16::from_le_bytes(*bytes).to_f32();
    }
}

fn encode(values: &[f32], out: &mut Vec<u8>) {
    out.extend(values.iter().flat_map(|&value| half_bytes(value)));
}

fn split(blocks: &[u8], [values, ..]: Planes<'_>) {
    values.copy_from_slice(blocks);
}
