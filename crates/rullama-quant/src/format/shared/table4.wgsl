// w = decode_scale(planes, g) * decode_table(q) with 4-bit codes q in plane x, a vec4 a group.

fn decode_group(planes: vec4<u32>, g: u32) -> array<vec4<f32>, 8> {
    let q = w4((planes.x >> 2u) + g);
    let lo = q & vec4<u32>(0x0f0f0f0fu);
    let hi = (q >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);
    let s = decode_scale(planes, g);
    return array<vec4<f32>, 8>(
        s * decode_table(lo.x),
        s * decode_table(hi.x),
        s * decode_table(lo.y),
        s * decode_table(hi.y),
        s * decode_table(lo.z),
        s * decode_table(hi.z),
        s * decode_table(lo.w),
        s * decode_table(hi.w),
    );
}

fn decode4(planes: vec4<u32>, g: u32, j: u32) -> vec4<f32> {
    let q = (w1(planes.x + 4u * g + (j >> 1u)) >> ((j & 1u) << 2u)) & 0x0f0f0f0fu;
    return decode_scale(planes, g) * decode_table(q);
}
