// MXFP4: w = 2^(e - 128) * F[q], F the E2M1 values doubled.
// Plane x: 4-bit codes, a vec4 a group. Plane y: exponent byte a group, four a word.
// A GPU may flush the scales of e < 2, which are subnormal, to zero; the CPU keeps them.

// F of four codes, one a byte, as signed bytes: 0, 1, 2, 3, 4, 6, 8, 12 and their negatives. With the low bits
// a = q & 1 and b = q >> 1 & 1, F is q below 4 and q + a + 2b + 2ab from there on; then
// 0x80 - F in each byte, its top bit flipped, is -F without a borrow into the next byte.
fn decode_entries(codes: u32) -> u32 {
    let q = codes & 0x07070707u;
    let both = q & (q >> 1u) & 0x01010101u;
    let large = (codes >> 2u) & 0x01010101u;
    let extra = ((q & 0x03030303u) + 2u * both) & ((large << 3u) - large);
    let value = q + extra;
    let sign = (codes >> 3u) & 0x01010101u;
    let negative = value & ((sign << 4u) - sign);
    return ((value | 0x80808080u) - 2u * negative) ^ 0x80808080u;
}

fn decode_table(codes: u32) -> vec4<f32> {
    return vec4<f32>(unpack4xI8(decode_entries(codes)));
}

fn decode_scale(planes: vec4<u32>, g: u32) -> f32 {
    let e = (w1(planes.y + (g >> 2u)) >> ((g & 3u) << 3u)) & 255u;
    return bitcast<f32>(select(0x00200000u << (e & 1u), (e - 1u) << 23u, e >= 2u));
}
