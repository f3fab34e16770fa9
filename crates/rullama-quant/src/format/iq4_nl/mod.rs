//! IQ4_NL `{f16 d; u8 qs[16]}`: w = d * T[q] with a fixed table; byte j holds elements j (low)
//! and j + 16 (high). Plane 0: 4-bit codes. Plane 1: f16 d a group.

use crate::bits::{chunks, chunks_mut, each_block, half_at, pack_nibble_halves, part, put_half};
use crate::format::{Format, Planes};

pub(crate) static FORMAT: Format = Format {
    ggml_id: 20,
    name: "iq4_nl",
    label: "IQ4_NL",
    block_len: 32,
    block_bytes: 18,
    planes: &[16, 2],
    decode,
    encode: None,
    split,
    scale_random: |block, scale| put_half(block, 0, scale / 70.0),
    #[cfg(test)]
    element: |device, g, e| device.half(1, g) * f32::from(TABLE[device.nibble(g, e) as usize]),
    wgsl: crate::wgsl!("../shared/iq4.wgsl", "../shared/table4.wgsl", "decode.wgsl"),
    codes: Some(crate::wgsl!("../shared/table4_codes.wgsl")),
};

/// Values of the 16 codes, also those of IQ4_XS.
pub(crate) const TABLE: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

fn decode(bytes: &[u8], out: &mut [f32]) {
    each_block(bytes, out, |block: &[u8; 18], out: &mut [f32; 32]| {
        let d = half_at(block, 0);
        for (j, &q) in block[2..].iter().enumerate() {
            out[j] = d * f32::from(TABLE[usize::from(q & 15)]);
            out[j + 16] = d * f32::from(TABLE[usize::from(q >> 4)]);
        }
    });
}

fn split(blocks: &[u8], [codes, scales, ..]: Planes<'_>) {
    let planes = chunks_mut::<_, 16>(codes).zip(chunks_mut::<_, 2>(scales));
    for (block, (codes, scale)) in chunks::<18>(blocks).zip(planes) {
        scale.copy_from_slice(&block[..2]);
        pack_nibble_halves(part(block, 2), codes);
    }
}
