//! Q5_K `{f16 d; f16 dmin; u8 S[12]; u8 qh[32]; u8 qs[128]}`: as Q4_K with a fifth bit, bit i of
//! qh[l] for element l of group i; w = d * sc * q - dmin * mn.
//! Plane 0: 4-bit codes. Plane 1: fifth bits, a word a group. Plane 2: a vec4 a block, (d, dmin)
//! and S.

use crate::bits::{chunks, chunks_mut, each_block, half_at, pack_bits, pack_nibble_side, part, put_half, put_word, scale_min};
use crate::format::{Format, Planes};
use crate::search::{AffineSearch, affine_block, blocks, nibble_sides};

pub(crate) static FORMAT: Format = Format {
    ggml_id: 13,
    name: "q5_k",
    label: "Q5_K",
    block_len: 256,
    block_bytes: 176,
    planes: &[128, 32, 16],
    decode,
    encode: Some(encode),
    split,
    scale_random: |block, scale| {
        put_half(block, 0, scale / 295.0);
        put_half(block, 2, 15.5 * scale / 295.0);
    },
    #[cfg(test)]
    element: |device, g, e| {
        let (d, dmin) = (device.half(2, g / 8 * 8), device.half(2, g / 8 * 8 + 1));
        let packed: Vec<u8> = (4..16).map(|i| device.byte(2, g / 8 * 16 + i)).collect();
        let (sc, mn) = scale_min(&packed, g % 8);
        let q = device.nibble(g, e) | device.bit(1, g, e) << 4;
        d * f32::from(sc) * q as f32 - dmin * f32::from(mn)
    },
    wgsl: crate::wgsl!("../shared/affine5.wgsl", "decode.wgsl"),
    codes: Some(crate::wgsl!("../shared/affine5_codes.wgsl")),
};

fn decode(bytes: &[u8], out: &mut [f32]) {
    each_block(bytes, out, |block: &[u8; 176], out: &mut [f32; 256]| {
        let (d, dmin) = (half_at(block, 0), half_at(block, 2));
        for (i, out) in chunks_mut::<_, 32>(out).enumerate() {
            let (sc, mn) = scale_min(&block[4..16], i);
            let (scale, min) = (d * f32::from(sc), dmin * f32::from(mn));
            let codes = &block[48 + 32 * (i / 2)..];
            for ((value, &q), &high) in out.iter_mut().zip(codes).zip(&block[16..48]) {
                let q = q >> (4 * (i % 2)) & 15 | (high >> i & 1) << 4;
                *value = scale * f32::from(q) - min;
            }
        }
    });
}

fn encode(values: &[f32], out: &mut Vec<u8>) {
    const SEARCH: AffineSearch = AffineSearch { max_code: 31, first: -0.5, steps: 15 };
    for values in blocks::<256>(values) {
        let block = affine_block(&SEARCH, values);
        let high = |l: usize| (0..8).fold(0, |bits, i| bits | (block.codes[i][l] >> 4) << i);
        out.extend(block.head);
        out.extend((0..32).map(high));
        out.extend(nibble_sides(&block.codes));
    }
}

fn split(blocks: &[u8], [codes, high, scales, ..]: Planes<'_>) {
    let planes = chunks_mut::<_, 128>(codes).zip(chunks_mut::<_, 32>(high));
    let planes = planes.zip(chunks_mut::<_, 16>(scales));
    for (block, ((codes, high), scales)) in chunks::<176>(blocks).zip(planes) {
        scales.copy_from_slice(&block[..16]);
        for (i, codes) in chunks_mut::<_, 16>(codes).enumerate() {
            pack_nibble_side(part(block, 48 + 32 * (i / 2)), i % 2 == 1, codes);
            put_word(high, 4 * i, pack_bits(part(block, 16), i));
        }
    }
}
