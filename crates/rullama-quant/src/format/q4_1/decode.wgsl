// Q4_1: w = d * q + m.
// Plane x: 4-bit codes, a vec4 a group. Plane y: a word (d, m) a group.
// WGSL lets unpack2x16float flush subnormal halves (below 6.1e-5) to zero; the CPU keeps them.

fn decode_group(planes: vec4<u32>, g: u32) -> array<vec4<f32>, 8> {
    let q = w4((planes.x >> 2u) + g);
    let lo = q & vec4<u32>(0x0f0f0f0fu);
    let hi = (q >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);
    let s = unpack2x16float(w1(planes.y + g));
    return array<vec4<f32>, 8>(
        s.x * vec4<f32>(unpack4xU8(lo.x)) + s.y,
        s.x * vec4<f32>(unpack4xU8(hi.x)) + s.y,
        s.x * vec4<f32>(unpack4xU8(lo.y)) + s.y,
        s.x * vec4<f32>(unpack4xU8(hi.y)) + s.y,
        s.x * vec4<f32>(unpack4xU8(lo.z)) + s.y,
        s.x * vec4<f32>(unpack4xU8(hi.z)) + s.y,
        s.x * vec4<f32>(unpack4xU8(lo.w)) + s.y,
        s.x * vec4<f32>(unpack4xU8(hi.w)) + s.y,
    );
}

fn decode4(planes: vec4<u32>, g: u32, j: u32) -> vec4<f32> {
    let q = (w1(planes.x + 4u * g + (j >> 1u)) >> ((j & 1u) << 2u)) & 0x0f0f0f0fu;
    let s = unpack2x16float(w1(planes.y + g));
    return s.x * vec4<f32>(unpack4xU8(q)) + s.y;
}
