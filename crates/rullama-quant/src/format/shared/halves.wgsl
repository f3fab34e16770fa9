// Values of 16 bits in plane x, 4 vec4 a group, two a word; decode_pairs gives those of two words.

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
