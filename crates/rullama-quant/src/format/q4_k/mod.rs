//! Q4_K `{f16 d; f16 dmin; u8 S[12]; u8 qs[128]}`: 8 groups with 6-bit scales and mins packed in
//! S; w = d * sc * q - dmin * mn. Group i takes the low (i even) or high nibbles of the 32 bytes
//! qs[32 (i / 2)..].
//! Plane 0: 4-bit codes. Plane 1: a vec4 a block, (d, dmin) and S.

use crate::bits::{chunks, chunks_mut, each_block, half_at, pack_nibble_side, part, put_half, scale_min};
use crate::format::{Format, Planes};
use crate::search::{AffineSearch, affine_block, blocks, nibble_sides};

pub(crate) static FORMAT: Format = Format {
    ggml_id: 12,
    name: "q4_k",
    label: "Q4_K",
    block_len: 256,
    block_bytes: 144,
    planes: &[128, 16],
    decode,
    encode: Some(encode),
    split,
    scale_random: |block, scale| {
        put_half(block, 0, scale / 147.0);
        put_half(block, 2, 7.5 * scale / 147.0);
    },
    #[cfg(test)]
    element: |device, g, e| {
        let (d, dmin) = (device.half(1, g / 8 * 8), device.half(1, g / 8 * 8 + 1));
        let packed: Vec<u8> = (4..16).map(|i| device.byte(1, g / 8 * 16 + i)).collect();
        let (sc, mn) = scale_min(&packed, g % 8);
        d * f32::from(sc) * device.nibble(g, e) as f32 - dmin * f32::from(mn)
    },
    wgsl: crate::wgsl!("../shared/affine4.wgsl", "decode.wgsl"),
    codes: Some(crate::wgsl!("../shared/affine4_codes.wgsl")),
};

fn decode(bytes: &[u8], out: &mut [f32]) {
    each_block(bytes, out, |block: &[u8; 144], out: &mut [f32; 256]| {
        let (d, dmin) = (half_at(block, 0), half_at(block, 2));
        for (i, out) in chunks_mut::<_, 32>(out).enumerate() {
            let (sc, mn) = scale_min(&block[4..16], i);
            let (scale, min) = (d * f32::from(sc), dmin * f32::from(mn));
            for (value, &q) in out.iter_mut().zip(&block[16 + 32 * (i / 2)..]) {
                *value = scale * f32::from(q >> (4 * (i % 2)) & 15) - min;
            }
        }
    });
}

fn encode(values: &[f32], out: &mut Vec<u8>) {
    const SEARCH: AffineSearch = AffineSearch { max_code: 15, first: -1.0, steps: 20 };
    for values in blocks::<256>(values) {
        let block = affine_block(&SEARCH, values);
        out.extend(block.head);
        out.extend(nibble_sides(&block.codes));
    }
}

fn split(blocks: &[u8], [codes, scales, ..]: Planes<'_>) {
    let planes = chunks_mut::<_, 128>(codes).zip(chunks_mut::<_, 16>(scales));
    for (block, (codes, scales)) in chunks::<144>(blocks).zip(planes) {
        scales.copy_from_slice(&block[..16]);
        for (i, codes) in chunks_mut::<_, 16>(codes).enumerate() {
            pack_nibble_side(part(block, 16 + 32 * (i / 2)), i % 2 == 1, codes);
        }
    }
}
