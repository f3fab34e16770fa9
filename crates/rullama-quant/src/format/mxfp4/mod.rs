//! MXFP4 `{u8 e; u8 qs[16]}` (OCP Microscaling): w = 2^(e - 128) * F[q], F the E2M1 values
//! doubled; byte j holds elements j (low) and j + 16 (high).
//! Plane 0: 4-bit codes. Plane 1: exponent byte a group.

use crate::bits::{chunks, chunks_mut, each_block, pack_nibble_halves, part};
use crate::format::{Format, Planes};

pub(crate) static FORMAT: Format = Format {
    ggml_id: 39,
    name: "mxfp4",
    label: "MXFP4",
    block_len: 32,
    block_bytes: 17,
    planes: &[16, 1],
    decode,
    encode: None,
    split,
    scale_random: |block, scale| block[0] = (125.0 + scale.log2()) as u8,
    #[cfg(test)]
    element: |device, g, e| scale(device.byte(1, g)) * f32::from(TABLE[device.nibble(g, e) as usize]),
    wgsl: crate::wgsl!("../shared/table4.wgsl", "decode.wgsl"),
    codes: Some(crate::wgsl!("../shared/table4_codes.wgsl")),
};

/// Values of the 16 codes, doubled so that they are whole.
const TABLE: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// 2^(e - 128), half of the E8M0 value because the table is doubled; subnormal for e < 2.
fn scale(e: u8) -> f32 {
    let e = u32::from(e);
    f32::from_bits(if e < 2 { 0x0020_0000 << e } else { (e - 1) << 23 })
}

fn decode(bytes: &[u8], out: &mut [f32]) {
    each_block(bytes, out, |block: &[u8; 17], out: &mut [f32; 32]| {
        let d = scale(block[0]);
        for (j, &q) in block[1..].iter().enumerate() {
            out[j] = d * f32::from(TABLE[usize::from(q & 15)]);
            out[j + 16] = d * f32::from(TABLE[usize::from(q >> 4)]);
        }
    });
}

fn split(blocks: &[u8], [codes, scales, ..]: Planes<'_>) {
    let planes = chunks_mut::<_, 16>(codes).zip(scales);
    for (block, (codes, scale)) in chunks::<17>(blocks).zip(planes) {
        *scale = block[0];
        pack_nibble_halves(part(block, 1), codes);
    }
}
