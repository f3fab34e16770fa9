// BF16: the upper half of a 32-bit float. Plane x: the values, 4 vec4 a group, two a word.

fn decode_pairs(a: u32, b: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(a << 16u, a & 0xffff0000u, b << 16u, b & 0xffff0000u));
}

fn decode_group(planes: vec4<u32>, g: u32) -> array<vec4<f32>, 8> {
    let at = (planes.x >> 2u) + 4u * g;
    let a = w4(at);
    let b = w4(at + 1u);
    let c = w4(at + 2u);
    let d = w4(at + 3u);
    return array<vec4<f32>, 8>(
        decode_pairs(a.x, a.y),
        decode_pairs(a.z, a.w),
        decode_pairs(b.x, b.y),
        decode_pairs(b.z, b.w),
        decode_pairs(c.x, c.y),
        decode_pairs(c.z, c.w),
        decode_pairs(d.x, d.y),
        decode_pairs(d.z, d.w),
    );
}

fn decode4(planes: vec4<u32>, g: u32, j: u32) -> vec4<f32> {
    let at = planes.x + 16u * g + 2u * j;
    return decode_pairs(w1(at), w1(at + 1u));
}
