//! Q4_0 `{f16 d; u8 qs[16]}`: w = d * (q - 8); byte j holds elements j (low) and j + 16 (high).
//! Plane 0: 4-bit codes. Plane 1: f16 d a group.

use crate::bits::{chunks, chunks_mut, each_block, half_at, half_bytes, pack_nibble_halves, part, put_half};
use crate::format::{Format, Planes};
use crate::search::{blocks, extreme, inverse, nibble_halves};

pub(crate) static FORMAT: Format = Format {
    ggml_id: 2,
    name: "q4_0",
    label: "Q4_0",
    block_len: 32,
    block_bytes: 18,
    planes: &[16, 2],
    decode,
    encode: Some(encode),
    split,
    scale_random: |block, scale| put_half(block, 0, scale / 4.6),
    #[cfg(test)]
    element: |device, g, e| device.half(1, g) * (device.nibble(g, e) - 8) as f32,
    wgsl: crate::wgsl!("../shared/affine4.wgsl", "decode.wgsl"),
    codes: Some(crate::wgsl!("../shared/affine4_codes.wgsl")),
};

fn decode(bytes: &[u8], out: &mut [f32]) {
    each_block(bytes, out, |block: &[u8; 18], out: &mut [f32; 32]| {
        let d = half_at(block, 0);
        for (j, &q) in block[2..].iter().enumerate() {
            out[j] = d * (i32::from(q & 15) - 8) as f32;
            out[j + 16] = d * (i32::from(q >> 4) - 8) as f32;
        }
    });
}

fn encode(values: &[f32], out: &mut Vec<u8>) {
    for x in blocks::<32>(values) {
        let d = extreme(x) / -8.0;
        let inverse = inverse(d);
        out.extend(half_bytes(d));
        out.extend(nibble_halves(&x.map(|x| 15.min((x * inverse + 8.5) as u8))));
    }
}

fn split(blocks: &[u8], [codes, scales, ..]: Planes<'_>) {
    let planes = chunks_mut::<_, 16>(codes).zip(chunks_mut::<_, 2>(scales));
    for (block, (codes, scale)) in chunks::<18>(blocks).zip(planes) {
        scale.copy_from_slice(&block[..2]);
        pack_nibble_halves(part(block, 2), codes);
    }
}
