//! Q4_1 `{f16 d; f16 m; u8 qs[16]}`: w = d * q + m; byte j holds elements j (low) and j + 16
//! (high). Plane 0: 4-bit codes. Plane 1: a word (d, m) a group.

use crate::bits::{chunks, chunks_mut, each_block, half_at, half_bytes, pack_nibble_halves, part, put_half};
use crate::format::{Format, Planes};
use crate::search::{blocks, inverse, nibble_halves, range};

pub(crate) static FORMAT: Format = Format {
    ggml_id: 3,
    name: "q4_1",
    label: "Q4_1",
    block_len: 32,
    block_bytes: 20,
    planes: &[16, 4],
    decode,
    encode: Some(encode),
    split,
    scale_random: |block, scale| {
        put_half(block, 0, scale / 4.6);
        put_half(block, 2, -scale * 1.6);
    },
    #[cfg(test)]
    element: |device, g, e| device.half(1, 2 * g) * device.nibble(g, e) as f32 + device.half(1, 2 * g + 1),
    wgsl: crate::wgsl!("../shared/affine4.wgsl", "decode.wgsl"),
    codes: Some(crate::wgsl!("../shared/affine4_codes.wgsl")),
};

fn decode(bytes: &[u8], out: &mut [f32]) {
    each_block(bytes, out, |block: &[u8; 20], out: &mut [f32; 32]| {
        let (d, m) = (half_at(block, 0), half_at(block, 2));
        for (j, &q) in block[4..].iter().enumerate() {
            out[j] = d * f32::from(q & 15) + m;
            out[j + 16] = d * f32::from(q >> 4) + m;
        }
    });
}

fn encode(values: &[f32], out: &mut Vec<u8>) {
    for x in blocks::<32>(values) {
        let (min, max) = range(x);
        let d = (max - min) / 15.0;
        let inverse = inverse(d);
        out.extend(half_bytes(d));
        out.extend(half_bytes(min));
        out.extend(nibble_halves(&x.map(|x| 15.min(((x - min) * inverse + 0.5) as u8))));
    }
}

fn split(blocks: &[u8], [codes, scales, ..]: Planes<'_>) {
    let planes = chunks_mut::<_, 16>(codes).zip(chunks_mut::<_, 4>(scales));
    for (block, (codes, scale)) in chunks::<20>(blocks).zip(planes) {
        scale.copy_from_slice(&block[..4]);
        pack_nibble_halves(part(block, 4), codes);
    }
}
