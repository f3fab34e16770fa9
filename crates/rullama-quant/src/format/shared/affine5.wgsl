// w = s.x * q + s.y with 5-bit codes q, their low bits in plane x, a vec4 a group, their fifth in plane y, a word a
// group, and s = decode_affine(planes, g).

// Bit 4 of each byte from the four lowest bits of h: no two products meet in one bit.
fn decode_fifth(h: u32) -> u32 {
    return (((h & 15u) * 0x00204081u) & 0x01010101u) << 4u;
}

fn decode_group(planes: vec4<u32>, g: u32) -> array<vec4<f32>, 8> {
    let q = w4((planes.x >> 2u) + g);
    let lo = q & vec4<u32>(0x0f0f0f0fu);
    let hi = (q >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);
    let h = w1(planes.y + g);
    let s = decode_affine(planes, g);
    return array<vec4<f32>, 8>(
        s.x * vec4<f32>(unpack4xU8(lo.x | decode_fifth(h))) + s.y,
        s.x * vec4<f32>(unpack4xU8(hi.x | decode_fifth(h >> 4u))) + s.y,
        s.x * vec4<f32>(unpack4xU8(lo.y | decode_fifth(h >> 8u))) + s.y,
        s.x * vec4<f32>(unpack4xU8(hi.y | decode_fifth(h >> 12u))) + s.y,
        s.x * vec4<f32>(unpack4xU8(lo.z | decode_fifth(h >> 16u))) + s.y,
        s.x * vec4<f32>(unpack4xU8(hi.z | decode_fifth(h >> 20u))) + s.y,
        s.x * vec4<f32>(unpack4xU8(lo.w | decode_fifth(h >> 24u))) + s.y,
        s.x * vec4<f32>(unpack4xU8(hi.w | decode_fifth(h >> 28u))) + s.y,
    );
}

fn decode4(planes: vec4<u32>, g: u32, j: u32) -> vec4<f32> {
    let q = (w1(planes.x + 4u * g + (j >> 1u)) >> ((j & 1u) << 2u)) & 0x0f0f0f0fu;
    let h = w1(planes.y + g) >> (j << 2u);
    let s = decode_affine(planes, g);
    return s.x * vec4<f32>(unpack4xU8(q | decode_fifth(h))) + s.y;
}
