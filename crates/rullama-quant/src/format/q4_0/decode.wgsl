// Q4_0: w = d * (q - 8), computed as d * q - 8d, which is exact and one fused operation.
// Plane x: 4-bit codes, a vec4 a group. Plane y: f16 d a group, two a word.
// WGSL lets unpack2x16float flush subnormal halves (below 6.1e-5) to zero; the CPU keeps them.

fn decode_scale(planes: vec4<u32>, g: u32) -> f32 {
    return unpack2x16float(w1(planes.y + (g >> 1u)) >> ((g & 1u) << 4u)).x;
}

fn decode_group(planes: vec4<u32>, g: u32) -> array<vec4<f32>, 8> {
    let q = w4((planes.x >> 2u) + g);
    let lo = q & vec4<u32>(0x0f0f0f0fu);
    let hi = (q >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);
    let d = decode_scale(planes, g);
    let m = -8.0 * d;
    return array<vec4<f32>, 8>(
        d * vec4<f32>(unpack4xU8(lo.x)) + m,
        d * vec4<f32>(unpack4xU8(hi.x)) + m,
        d * vec4<f32>(unpack4xU8(lo.y)) + m,
        d * vec4<f32>(unpack4xU8(hi.y)) + m,
        d * vec4<f32>(unpack4xU8(lo.z)) + m,
        d * vec4<f32>(unpack4xU8(hi.z)) + m,
        d * vec4<f32>(unpack4xU8(lo.w)) + m,
        d * vec4<f32>(unpack4xU8(hi.w)) + m,
    );
}

fn decode4(planes: vec4<u32>, g: u32, j: u32) -> vec4<f32> {
    let q = (w1(planes.x + 4u * g + (j >> 1u)) >> ((j & 1u) << 2u)) & 0x0f0f0f0fu;
    let d = decode_scale(planes, g);
    return d * vec4<f32>(unpack4xU8(q)) - 8.0 * d;
}
