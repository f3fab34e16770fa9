//! Q6_K `{u8 ql[128]; u8 qh[64]; i8 sc[16]; f16 d}`: 16 sub-blocks of 16 elements;
//! w = d * sc * (q - 32), q = 4 low bits | 2 high bits << 4. Group i = 4n + k (of 8) takes the
//! low (k < 2) or high nibbles of the 32 bytes ql[64n + 32 (k % 2)..], bits 2k of qh[32n..], and
//! the scales 2i and 2i + 1.
//! Plane 0: 4-bit codes. Plane 1: 2-bit codes. Plane 2: the two scale bytes of a group. Plane 3:
//! f16 d a block.

use half::f16;

use crate::bits::{chunks, chunks_mut, each_block, half_at, pack_nibble_side, pack_pairs, part, put_half};
use crate::format::{Format, Planes};
use crate::search::{NEGLIGIBLE, blocks, extreme, nearest, symmetric};

pub(crate) static FORMAT: Format = Format {
    ggml_id: 14,
    name: "q6_k",
    label: "Q6_K",
    block_len: 256,
    block_bytes: 210,
    planes: &[128, 64, 16, 2],
    decode,
    encode: Some(encode),
    split,
    scale_random: |block, scale| put_half(block, 208, scale / 1500.0),
    #[cfg(test)]
    element: |device, g, e| {
        let sc = device.byte(2, 2 * g + e / 16) as i8;
        let q = device.nibble(g, e) | device.pair(1, g, e) << 4;
        device.half(3, g / 8) * f32::from(sc) * (q - 32) as f32
    },
    wgsl: crate::wgsl!("decode.wgsl"),
    codes: Some(crate::wgsl!("codes.wgsl")),
};

fn decode(bytes: &[u8], out: &mut [f32]) {
    each_block(bytes, out, |block: &[u8; 210], out: &mut [f32; 256]| {
        let d = half_at(block, 208);
        for (t, out) in chunks_mut::<_, 16>(out).enumerate() {
            let (n, k) = (t / 8, t / 2 % 4);
            let scale = d * f32::from(block[192 + t] as i8);
            let low = &block[64 * n + 32 * (k % 2) + 16 * (t % 2)..];
            let high = &block[128 + 32 * n + 16 * (t % 2)..];
            for ((value, &low), &high) in out.iter_mut().zip(low).zip(high) {
                let q = low >> (k / 2 * 4) & 15 | (high >> (2 * k) & 3) << 4;
                *value = scale * (i32::from(q) - 32) as f32;
            }
        }
    });
}

fn encode(values: &[f32], out: &mut Vec<u8>) {
    for values in blocks::<256>(values) {
        out.extend(encode_block(values));
    }
}

fn encode_block(values: &[f32; 256]) -> [u8; 210] {
    let mut block = [0; 210];
    let mut codes = [0; 256];
    let mut scales = [0.0; 16];
    let searched = blocks::<16>(values).zip(chunks_mut::<_, 16>(&mut codes));
    for ((x, codes), scale) in searched.zip(&mut scales) {
        (*codes, *scale) = symmetric(x);
    }
    let max = extreme(&scales);
    if max.abs() < NEGLIGIBLE {
        return block;
    }
    let inverse = -128.0 / max;
    let d = f16::from_f32(1.0 / inverse);
    for (t, x) in blocks::<16>(values).enumerate() {
        let sc = nearest(inverse * scales[t]).min(127) as i8;
        block[192 + t] = sc as u8;
        // Once more, for the scale as it is stored.
        let scale = d.to_f32() * f32::from(sc);
        if scale != 0.0 {
            let x = x.map(|x| (nearest(x / scale).clamp(-32, 31) + 32) as u8);
            codes[16 * t..][..16].copy_from_slice(&x);
        }
    }
    block[208..].copy_from_slice(&d.to_le_bytes());
    for (e, code) in codes.into_iter().enumerate() {
        let (n, k, l) = (e / 128, e % 128 / 32, e % 32);
        block[64 * n + 32 * (k % 2) + l] |= (code & 15) << (k / 2 * 4);
        block[128 + 32 * n + l] |= code >> 4 << (2 * k);
    }
    block
}

fn split(blocks: &[u8], [low, high, scales, supers]: Planes<'_>) {
    let planes = chunks_mut::<_, 128>(low).zip(chunks_mut::<_, 64>(high));
    let planes = planes.zip(chunks_mut::<_, 16>(scales)).zip(chunks_mut::<_, 2>(supers));
    for (block, (((low, high), scales), supers)) in chunks::<210>(blocks).zip(planes) {
        scales.copy_from_slice(&block[192..208]);
        supers.copy_from_slice(&block[208..]);
        let groups = chunks_mut::<_, 16>(low).zip(chunks_mut::<_, 8>(high));
        for (i, (low, high)) in groups.enumerate() {
            let (n, k) = (i / 4, i % 4);
            pack_nibble_side(part(block, 64 * n + 32 * (k % 2)), k >= 2, low);
            pack_pairs(part(block, 128 + 32 * n), 2 * k, high);
        }
    }
}
