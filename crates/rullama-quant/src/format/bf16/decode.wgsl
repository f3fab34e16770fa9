// BF16: the upper half of a 32-bit float. Plane x: the values, 4 vec4 a group, two a word.

fn decode_pairs(a: u32, b: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(a << 16u, a & 0xffff0000u, b << 16u, b & 0xffff0000u));
}
