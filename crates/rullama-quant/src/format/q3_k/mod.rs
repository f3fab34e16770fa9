//! Q3_K `{u8 hmask[32]; u8 qs[64]; u8 S[12]; f16 d}`: 16 sub-blocks of 16 elements;
//! w = d * (s - 32) * (q - 4) with a 6-bit scale s and q = 2 low bits | high bit << 2. Group i
//! (of 8) takes bits 2(i % 4) of the 32 bytes qs[32 (i / 4)..], bit i of hmask, and the scales
//! 2i and 2i + 1.
//! Plane 0: 2-bit codes. Plane 1: third bits, a word a group. Plane 2: S, 3 words a block.
//! Plane 3: f16 d a block.

use crate::bits::{chunks, chunks_mut, each_block, half_at, pack_bits, pack_pairs, part, put_half, put_word};
use crate::format::{Format, Planes};

pub(crate) static FORMAT: Format = Format {
    ggml_id: 11,
    name: "q3_k",
    label: "Q3_K",
    block_len: 256,
    block_bytes: 110,
    planes: &[64, 32, 12, 2],
    decode,
    encode: None,
    split,
    scale_random: |block, scale| put_half(block, 108, scale / 40.0),
    #[cfg(test)]
    element: |device, g, e| {
        let packed: Vec<u8> = (0..12).map(|i| device.byte(2, g / 8 * 12 + i)).collect();
        let s = scale(&packed, g % 8 * 2 + e / 16);
        let q = device.pair(0, g, e) | device.bit(1, g, e) << 2;
        device.half(3, g / 8) * s as f32 * (q - 4) as f32
    },
    wgsl: crate::wgsl!("decode.wgsl"),
    codes: Some(crate::wgsl!("codes.wgsl")),
};

/// Scale `t` of 16, already less 32: four low bits in bytes 0..8, two high bits in bytes 8..12.
fn scale(packed: &[u8], t: usize) -> i32 {
    let low = packed[t % 8] >> (t / 8 * 4) & 15;
    let high = packed[8 + t % 4] >> (t / 4 * 2) & 3;
    i32::from(low | high << 4) - 32
}

fn decode(bytes: &[u8], out: &mut [f32]) {
    each_block(bytes, out, |block: &[u8; 110], out: &mut [f32; 256]| {
        let d = half_at(block, 108);
        for (t, out) in chunks_mut::<_, 16>(out).enumerate() {
            let i = t / 2;
            let scale = d * scale(&block[96..108], t) as f32;
            let masks = &block[16 * (t % 2)..];
            let codes = &block[32 + 32 * (i / 4) + 16 * (t % 2)..];
            for ((value, &q), &mask) in out.iter_mut().zip(codes).zip(masks) {
                let q = q >> (2 * (i % 4)) & 3 | (mask >> i & 1) << 2;
                *value = scale * (i32::from(q) - 4) as f32;
            }
        }
    });
}

fn split(blocks: &[u8], [codes, high, scales, supers]: Planes<'_>) {
    let planes = chunks_mut::<_, 64>(codes).zip(chunks_mut::<_, 32>(high));
    let planes = planes.zip(chunks_mut::<_, 12>(scales)).zip(chunks_mut::<_, 2>(supers));
    for (block, (((codes, high), scales), supers)) in chunks::<110>(blocks).zip(planes) {
        scales.copy_from_slice(&block[96..108]);
        supers.copy_from_slice(&block[108..]);
        for (i, codes) in chunks_mut::<_, 8>(codes).enumerate() {
            pack_pairs(part(block, 32 + 32 * (i / 4)), 2 * (i % 4), codes);
            put_word(high, 4 * i, pack_bits(part(block, 0), i));
        }
    }
}
