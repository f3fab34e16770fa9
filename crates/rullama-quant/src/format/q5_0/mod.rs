//! Q5_0 `{f16 d; u32 qh; u8 qs[16]}`: w = d * (q - 16), q = nibble | bit e of qh << 4; byte j
//! holds elements j (low) and j + 16 (high).
//! Plane 0: 4-bit codes. Plane 1: fifth bits, a word a group. Plane 2: f16 d a group.

use crate::bits::{chunks, chunks_mut, each_block, half_at, half_bytes, pack_nibble_halves, part, put_half, word_at};
use crate::format::{Format, Planes};
use crate::search::{blocks, extreme, fifth_bits, inverse, nibble_halves};

pub(crate) static FORMAT: Format = Format {
    ggml_id: 6,
    name: "q5_0",
    label: "Q5_0",
    block_len: 32,
    block_bytes: 22,
    planes: &[16, 4, 2],
    decode,
    encode: Some(encode),
    split,
    scale_random: |block, scale| put_half(block, 0, scale / 9.2),
    #[cfg(test)]
    element: |device, g, e| {
        let q = device.nibble(g, e) | device.bit(1, g, e) << 4;
        device.half(2, g) * (q - 16) as f32
    },
    wgsl: crate::wgsl!("../shared/affine5.wgsl", "decode.wgsl"),
    codes: Some(crate::wgsl!("../shared/affine5_codes.wgsl")),
};

fn decode(bytes: &[u8], out: &mut [f32]) {
    each_block(bytes, out, |block: &[u8; 22], out: &mut [f32; 32]| {
        let (d, high) = (half_at(block, 0), word_at(block, 2));
        for (j, &q) in block[6..].iter().enumerate() {
            let low_half = u32::from(q & 15) | (high >> j & 1) << 4;
            let high_half = u32::from(q >> 4) | (high >> (j + 16) & 1) << 4;
            out[j] = d * (low_half as i32 - 16) as f32;
            out[j + 16] = d * (high_half as i32 - 16) as f32;
        }
    });
}

fn encode(values: &[f32], out: &mut Vec<u8>) {
    for x in blocks::<32>(values) {
        let d = extreme(x) / -16.0;
        let inverse = inverse(d);
        let codes = x.map(|x| 31.min((x * inverse + 16.5) as u8));
        out.extend(half_bytes(d));
        out.extend(fifth_bits(&codes).to_le_bytes());
        out.extend(nibble_halves(&codes));
    }
}

fn split(blocks: &[u8], [codes, high, scales, ..]: Planes<'_>) {
    let planes = chunks_mut::<_, 16>(codes).zip(chunks_mut::<_, 4>(high));
    let planes = planes.zip(chunks_mut::<_, 2>(scales));
    for (block, ((codes, high), scale)) in chunks::<22>(blocks).zip(planes) {
        scale.copy_from_slice(&block[..2]);
        high.copy_from_slice(&block[2..6]);
        pack_nibble_halves(part(block, 6), codes);
    }
}
