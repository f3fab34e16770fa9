//! IQ4_XS `{f16 d; u16 sh; u8 sl[4]; u8 qs[128]}`: 8 groups with 6-bit scales;
//! w = d * (s - 32) * T[q] with the table of IQ4_NL. Group i takes the 16 bytes qs[16i..], byte
//! j holding elements j (low) and j + 16 (high); s = nibble i of sl | bits 2i of sh << 4.
//! Plane 0: 4-bit codes. Plane 1: two words a block, (d, sh) and sl.

use crate::bits::{chunks, chunks_mut, each_block, half_at, pack_nibble_halves, part, put_half};
use crate::format::iq4_nl::TABLE;
use crate::format::{Format, Planes};

pub(crate) static FORMAT: Format = Format {
    ggml_id: 23,
    name: "iq4_xs",
    label: "IQ4_XS",
    block_len: 256,
    block_bytes: 136,
    planes: &[128, 8],
    decode,
    encode: None,
    split,
    scale_random: |block, scale| put_half(block, 0, scale / 1300.0),
    #[cfg(test)]
    element: |device, g, e| {
        let head: Vec<u8> = (0..8).map(|i| device.byte(1, g / 8 * 8 + i)).collect();
        let table = f32::from(TABLE[device.nibble(g, e) as usize]);
        half_at(&head, 0) * scale(&head, g % 8) as f32 * table
    },
    wgsl: crate::wgsl!("../shared/iq4.wgsl", "../shared/table4.wgsl", "decode.wgsl"),
    codes: Some(crate::wgsl!("../shared/table4_codes.wgsl")),
};

/// Scale `i` of 8, already less 32, from the first 8 bytes of a block.
fn scale(head: &[u8], i: usize) -> i32 {
    let low = head[4 + i / 2] >> (4 * (i % 2)) & 15;
    let high = head[2 + i / 4] >> (2 * (i % 4)) & 3;
    i32::from(low | high << 4) - 32
}

fn decode(bytes: &[u8], out: &mut [f32]) {
    each_block(bytes, out, |block: &[u8; 136], out: &mut [f32; 256]| {
        let d = half_at(block, 0);
        for (i, out) in chunks_mut::<_, 32>(out).enumerate() {
            let scale = d * scale(block, i) as f32;
            for (j, &q) in block[8 + 16 * i..][..16].iter().enumerate() {
                out[j] = scale * f32::from(TABLE[usize::from(q & 15)]);
                out[j + 16] = scale * f32::from(TABLE[usize::from(q >> 4)]);
            }
        }
    });
}

fn split(blocks: &[u8], [codes, scales, ..]: Planes<'_>) {
    let planes = chunks_mut::<_, 128>(codes).zip(chunks_mut::<_, 8>(scales));
    for (block, (codes, scales)) in chunks::<136>(blocks).zip(planes) {
        scales.copy_from_slice(&block[..8]);
        for (i, codes) in chunks_mut::<_, 16>(codes).enumerate() {
            pack_nibble_halves(part(block, 8 + 16 * i), codes);
        }
    }
}
