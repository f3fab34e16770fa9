// Q3_K: w = d * (sc - 32) * (q - 4), computed as s * q - 4s, which is exact and one fused
// operation; 16 elements share a scale.
// Plane x: 2-bit codes, 2 words a group. Plane y: third bits, a word a group. Plane z: 3 words a
// block of 8 groups, the packed 6-bit scales as in the file. Plane w: f16 d a block, two a word.
// WGSL lets unpack2x16float flush subnormal halves (below 6.1e-5) to zero; the CPU keeps them.

// Bit 2 of each byte from the four lowest bits of h: no two products meet in one bit.
fn decode_third(h: u32) -> u32 {
    return (((h & 15u) * 0x00204081u) & 0x01010101u) << 2u;
}

// d * (sc - 32) of the two halves of the group. With i = g % 8, scales 2i and 2i + 1 are
// neighbouring bytes of the 8 low and of the 4 high bytes, i / 4 and i / 2 picking the bits.
fn decode_scales(planes: vec4<u32>, g: u32) -> vec2<f32> {
    let block = g >> 3u;
    let i = g & 7u;
    let at = planes.z + 3u * block;
    let low = w1(at + ((i >> 1u) & 1u)) >> (((i & 1u) << 4u) + (i & 4u));
    let high = w1(at + 2u) >> (((i & 1u) << 4u) + (i & 6u));
    let sc = (vec2<u32>(low, low >> 8u) & vec2<u32>(15u))
        | (vec2<u32>(high << 4u, high >> 4u) & vec2<u32>(48u));
    let d = unpack2x16float(w1(planes.w + (block >> 1u)) >> ((block & 1u) << 4u)).x;
    return d * (vec2<f32>(sc) - 32.0);
}

fn decode_group(planes: vec4<u32>, g: u32) -> array<vec4<f32>, 8> {
    let pair = w4((planes.x >> 2u) + (g >> 1u));
    let q = select(pair.xy, pair.zw, (g & 1u) != 0u);
    let h = w1(planes.y + g);
    let s = decode_scales(planes, g);
    let m = -4.0 * s;
    return array<vec4<f32>, 8>(
        s.x * vec4<f32>(unpack4xU8((q.x & 0x03030303u) | decode_third(h))) + m.x,
        s.x * vec4<f32>(unpack4xU8(((q.x >> 2u) & 0x03030303u) | decode_third(h >> 4u))) + m.x,
        s.x * vec4<f32>(unpack4xU8(((q.x >> 4u) & 0x03030303u) | decode_third(h >> 8u))) + m.x,
        s.x * vec4<f32>(unpack4xU8(((q.x >> 6u) & 0x03030303u) | decode_third(h >> 12u))) + m.x,
        s.y * vec4<f32>(unpack4xU8((q.y & 0x03030303u) | decode_third(h >> 16u))) + m.y,
        s.y * vec4<f32>(unpack4xU8(((q.y >> 2u) & 0x03030303u) | decode_third(h >> 20u))) + m.y,
        s.y * vec4<f32>(unpack4xU8(((q.y >> 4u) & 0x03030303u) | decode_third(h >> 24u))) + m.y,
        s.y * vec4<f32>(unpack4xU8(((q.y >> 6u) & 0x03030303u) | decode_third(h >> 28u))) + m.y,
    );
}

fn decode4(planes: vec4<u32>, g: u32, j: u32) -> vec4<f32> {
    let q = (w1(planes.x + 2u * g + (j >> 2u)) >> ((j & 3u) << 1u)) & 0x03030303u;
    let h = w1(planes.y + g) >> (j << 2u);
    let scales = decode_scales(planes, g);
    let s = select(scales.x, scales.y, j >= 4u);
    return s * vec4<f32>(unpack4xU8(q | decode_third(h))) - 4.0 * s;
}
