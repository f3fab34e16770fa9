//! Q5_1 `{f16 d; f16 m; u32 qh; u8 qs[16]}`: w = d * q + m, q = nibble | bit e of qh << 4; byte
//! j holds elements j (low) and j + 16 (high).
//! Plane 0: 4-bit codes. Plane 1: fifth bits, a word a group. Plane 2: a word (d, m) a group.

use crate::bits::{chunks, chunks_mut, each_block, half_at, half_bytes, pack_nibble_halves, part, put_half, word_at};
use crate::format::{Format, Planes};
use crate::search::{blocks, fifth_bits, inverse, nibble_halves, range};

pub(crate) static FORMAT: Format = Format {
    ggml_id: 7,
    name: "q5_1",
    label: "Q5_1",
    block_len: 32,
    block_bytes: 24,
    planes: &[16, 4, 4],
    decode,
    encode: Some(encode),
    split,
    scale_random: |block, scale| {
        put_half(block, 0, scale / 9.2);
        put_half(block, 2, -scale * 1.6);
    },
    #[cfg(test)]
    element: |device, g, e| {
        let q = device.nibble(g, e) | device.bit(1, g, e) << 4;
        device.half(2, 2 * g) * q as f32 + device.half(2, 2 * g + 1)
    },
    wgsl: crate::wgsl!("../shared/affine5.wgsl", "decode.wgsl"),
    codes: Some(crate::wgsl!("../shared/affine5_codes.wgsl")),
};

fn decode(bytes: &[u8], out: &mut [f32]) {
    each_block(bytes, out, |block: &[u8; 24], out: &mut [f32; 32]| {
        let (d, m, high) = (half_at(block, 0), half_at(block, 2), word_at(block, 4));
        for (j, &q) in block[8..].iter().enumerate() {
            let low_half = u32::from(q & 15) | (high >> j & 1) << 4;
            let high_half = u32::from(q >> 4) | (high >> (j + 16) & 1) << 4;
            out[j] = d * low_half as f32 + m;
            out[j + 16] = d * high_half as f32 + m;
        }
    });
}

fn encode(values: &[f32], out: &mut Vec<u8>) {
    for x in blocks::<32>(values) {
        let (min, max) = range(x);
        let d = (max - min) / 31.0;
        let inverse = inverse(d);
        let codes = x.map(|x| ((x - min) * inverse + 0.5) as u8);
        out.extend(half_bytes(d));
        out.extend(half_bytes(min));
        out.extend(fifth_bits(&codes).to_le_bytes());
        out.extend(nibble_halves(&codes));
    }
}

fn split(blocks: &[u8], [codes, high, scales, ..]: Planes<'_>) {
    let planes = chunks_mut::<_, 16>(codes).zip(chunks_mut::<_, 4>(high));
    let planes = planes.zip(chunks_mut::<_, 4>(scales));
    for (block, ((codes, high), scale)) in chunks::<24>(blocks).zip(planes) {
        scale.copy_from_slice(&block[..4]);
        high.copy_from_slice(&block[4..8]);
        pack_nibble_halves(part(block, 8), codes);
    }
}
