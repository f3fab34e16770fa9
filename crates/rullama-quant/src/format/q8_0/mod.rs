//! Q8_0 `{f16 d; i8 qs[32]}`: w = d * q.
//! Plane 0: codes, 2 vec4 a group. Plane 1: f16 d a group.

use crate::bits::{chunks, chunks_mut, each_block, half_at, half_bytes, put_half};
use crate::format::{Format, Planes};
use crate::search::{blocks, extreme, inverse};

pub(crate) static FORMAT: Format = Format {
    ggml_id: 8,
    name: "q8_0",
    label: "Q8_0",
    block_len: 32,
    block_bytes: 34,
    planes: &[32, 2],
    decode,
    encode: Some(encode),
    split,
    scale_random: |block, scale| put_half(block, 0, scale / 73.0),
    #[cfg(test)]
    element: |device, g, e| device.half(1, g) * f32::from(device.byte(0, 32 * g + e) as i8),
    wgsl: crate::wgsl!("decode.wgsl"),
    codes: Some(crate::wgsl!("codes.wgsl")),
};

fn decode(bytes: &[u8], out: &mut [f32]) {
    each_block(bytes, out, |block: &[u8; 34], out: &mut [f32; 32]| {
        let d = half_at(block, 0);
        for (value, &q) in out.iter_mut().zip(&block[2..]) {
            *value = d * f32::from(q as i8);
        }
    });
}

fn encode(values: &[f32], out: &mut Vec<u8>) {
    for x in blocks::<32>(values) {
        let d = extreme(x).abs() / 127.0;
        let inverse = inverse(d);
        out.extend(half_bytes(d));
        out.extend(x.map(|x| (x * inverse).round() as i8 as u8));
    }
}

fn split(blocks: &[u8], [codes, scales, ..]: Planes<'_>) {
    let planes = chunks_mut::<_, 32>(codes).zip(chunks_mut::<_, 2>(scales));
    for (block, (codes, scale)) in chunks::<34>(blocks).zip(planes) {
        scale.copy_from_slice(&block[..2]);
        codes.copy_from_slice(&block[2..]);
    }
}
