// Q6_K: w = d * sc * (q - 32), computed as d * sc * q - 32 d * sc, which is exact (24 bits) and
// one fused operation; 16 elements share a scale.
// Plane x: 4-bit codes, a vec4 a group. Plane y: 2-bit codes, 2 words a group. Plane z: two i8
// scales a group, two groups a word. Plane w: f16 d a block of 8 groups, two a word.
// WGSL lets unpack2x16float flush subnormal halves (below 6.1e-5) to zero; the CPU keeps them.

// d * sc of the two halves of the group.
fn decode_scales(planes: vec4<u32>, g: u32) -> vec2<f32> {
    let d = unpack2x16float(w1(planes.w + (g >> 4u)) >> ((g & 8u) << 1u)).x;
    let sc = unpack4xI8(w1(planes.z + (g >> 1u)) >> ((g & 1u) << 4u)).xy;
    return d * vec2<f32>(sc);
}

fn decode_group(planes: vec4<u32>, g: u32) -> array<vec4<f32>, 8> {
    let q = w4((planes.x >> 2u) + g);
    let lo = q & vec4<u32>(0x0f0f0f0fu);
    let hi = (q >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);
    let pair = w4((planes.y >> 2u) + (g >> 1u));
    let high = select(pair.xy, pair.zw, (g & 1u) != 0u);
    let s = decode_scales(planes, g);
    let m = -32.0 * s;
    return array<vec4<f32>, 8>(
        s.x * vec4<f32>(unpack4xU8(lo.x | ((high.x << 4u) & 0x30303030u))) + m.x,
        s.x * vec4<f32>(unpack4xU8(hi.x | ((high.x << 2u) & 0x30303030u))) + m.x,
        s.x * vec4<f32>(unpack4xU8(lo.y | (high.x & 0x30303030u))) + m.x,
        s.x * vec4<f32>(unpack4xU8(hi.y | ((high.x >> 2u) & 0x30303030u))) + m.x,
        s.y * vec4<f32>(unpack4xU8(lo.z | ((high.y << 4u) & 0x30303030u))) + m.y,
        s.y * vec4<f32>(unpack4xU8(hi.z | ((high.y << 2u) & 0x30303030u))) + m.y,
        s.y * vec4<f32>(unpack4xU8(lo.w | (high.y & 0x30303030u))) + m.y,
        s.y * vec4<f32>(unpack4xU8(hi.w | ((high.y >> 2u) & 0x30303030u))) + m.y,
    );
}

fn decode4(planes: vec4<u32>, g: u32, j: u32) -> vec4<f32> {
    let q = (w1(planes.x + 4u * g + (j >> 1u)) >> ((j & 1u) << 2u)) & 0x0f0f0f0fu;
    let high = w1(planes.y + 2u * g + (j >> 2u)) >> ((j & 3u) << 1u);
    let scales = decode_scales(planes, g);
    let s = select(scales.x, scales.y, j >= 4u);
    return s * vec4<f32>(unpack4xU8(q | ((high & 0x03030303u) << 4u))) - 32.0 * s;
}
