// MXFP4: w = 2^(e - 128) * F[q], F the E2M1 values doubled.
// Plane x: 4-bit codes, a vec4 a group. Plane y: exponent byte a group, four a word.
// A GPU may flush the scales of e < 2, which are subnormal, to zero; the CPU keeps them.

// F of four codes, one a byte: 0, 1, 2, 3, 4, 6, 8, 12 and their negatives. With the low bits
// a = q & 1 and b = q >> 1 & 1, F is q below 4 and q + a + 2b + 2ab from there on; then
// 0x80 - F in each byte, its top bit flipped, is -F without a borrow into the next byte.
fn decode_e2m1(codes: u32) -> vec4<f32> {
    let q = codes & 0x07070707u;
    let both = q & (q >> 1u) & 0x01010101u;
    let large = (codes >> 2u) & 0x01010101u;
    let extra = ((q & 0x03030303u) + 2u * both) & ((large << 3u) - large);
    let value = q + extra;
    let sign = (codes >> 3u) & 0x01010101u;
    let negative = value & ((sign << 4u) - sign);
    return vec4<f32>(unpack4xI8(((value | 0x80808080u) - 2u * negative) ^ 0x80808080u));
}

fn decode_scale(planes: vec4<u32>, g: u32) -> f32 {
    let e = (w1(planes.y + (g >> 2u)) >> ((g & 3u) << 3u)) & 255u;
    return bitcast<f32>(select(0x00200000u << (e & 1u), (e - 1u) << 23u, e >= 2u));
}

fn decode_group(planes: vec4<u32>, g: u32) -> array<vec4<f32>, 8> {
    let q = w4((planes.x >> 2u) + g);
    let lo = q & vec4<u32>(0x0f0f0f0fu);
    let hi = (q >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);
    let s = decode_scale(planes, g);
    return array<vec4<f32>, 8>(
        s * decode_e2m1(lo.x),
        s * decode_e2m1(hi.x),
        s * decode_e2m1(lo.y),
        s * decode_e2m1(hi.y),
        s * decode_e2m1(lo.z),
        s * decode_e2m1(hi.z),
        s * decode_e2m1(lo.w),
        s * decode_e2m1(hi.w),
    );
}

fn decode4(planes: vec4<u32>, g: u32, j: u32) -> vec4<f32> {
    let q = (w1(planes.x + 4u * g + (j >> 1u)) >> ((j & 1u) << 2u)) & 0x0f0f0f0fu;
    return decode_scale(planes, g) * decode_e2m1(q);
}
