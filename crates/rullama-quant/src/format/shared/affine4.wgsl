// w = s.x * q + s.y with 4-bit codes q in plane x, a vec4 a group, and s = decode_affine(planes, g).

fn decode_group(planes: vec4<u32>, g: u32) -> array<vec4<f32>, 8> {
    let q = w4((planes.x >> 2u) + g);
    let lo = q & vec4<u32>(0x0f0f0f0fu);
    let hi = (q >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);
    let s = decode_affine(planes, g);
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
    let s = decode_affine(planes, g);
    return s.x * vec4<f32>(unpack4xU8(q)) + s.y;
}
