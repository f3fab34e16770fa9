//! Q2_K `{u8 sc[16]; u8 qs[64]; f16 d; f16 dmin}`: 16 sub-blocks of 16 elements;
//! w = d * (sc & 15) * q - dmin * (sc >> 4). Group i (of 8) takes bits 2(i % 4) of the 32 bytes
//! qs[32 (i / 4)..], and the scale bytes 2i and 2i + 1.
//! Plane 0: 2-bit codes. Plane 1: the two scale bytes of a group. Plane 2: a word (d, dmin) a
//! block.

use crate::bits::{chunks, chunks_mut, each_block, half_at, pack_pairs, part, put_half};
use crate::format::{Format, Planes};

pub(crate) static FORMAT: Format = Format {
    ggml_id: 10,
    name: "q2_k",
    label: "Q2_K",
    block_len: 256,
    block_bytes: 84,
    planes: &[64, 16, 4],
    decode,
    encode: None,
    split,
    scale_random: |block, scale| {
        put_half(block, 80, scale / 8.0);
        put_half(block, 82, 1.5 * scale / 8.0);
    },
    #[cfg(test)]
    element: |device, g, e| {
        let (d, dmin) = (device.half(2, g / 8 * 2), device.half(2, g / 8 * 2 + 1));
        let s = device.byte(1, 2 * g + e / 16);
        d * f32::from(s & 15) * device.pair(0, g, e) as f32 - dmin * f32::from(s >> 4)
    },
    wgsl: crate::wgsl!("decode.wgsl"),
    codes: Some(crate::wgsl!("codes.wgsl")),
};

fn decode(bytes: &[u8], out: &mut [f32]) {
    each_block(bytes, out, |block: &[u8; 84], out: &mut [f32; 256]| {
        let (d, dmin) = (half_at(block, 80), half_at(block, 82));
        for (t, out) in chunks_mut::<_, 16>(out).enumerate() {
            let (scale, i) = (block[t], t / 2);
            let (scale, min) = (d * f32::from(scale & 15), dmin * f32::from(scale >> 4));
            let codes = &block[16 + 32 * (i / 4) + 16 * (t % 2)..];
            for (value, &q) in out.iter_mut().zip(codes) {
                *value = scale * f32::from(q >> (2 * (i % 4)) & 3) - min;
            }
        }
    });
}

fn split(blocks: &[u8], [codes, scales, supers, ..]: Planes<'_>) {
    let planes = chunks_mut::<_, 64>(codes).zip(chunks_mut::<_, 16>(scales));
    let planes = planes.zip(chunks_mut::<_, 4>(supers));
    for (block, ((codes, scales), supers)) in chunks::<84>(blocks).zip(planes) {
        scales.copy_from_slice(&block[..16]);
        supers.copy_from_slice(&block[80..]);
        for (i, codes) in chunks_mut::<_, 8>(codes).enumerate() {
            pack_pairs(part(block, 16 + 32 * (i / 4)), 2 * (i % 4), codes);
        }
    }
}
