// IQ4_XS: w = d * (sc - 32) * T[q] with the table of IQ4_NL.
// Plane x: 4-bit codes, a vec4 a group. Plane y: two words a block of 8 groups: d and the high
// bits of the 6-bit scales, then their low nibbles.
// WGSL lets unpack2x16float flush subnormal halves (below 6.1e-5) to zero; the CPU keeps them.

// The 16 signed bytes -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 lie
// in four words. Bits 2 and 3 of a code select the word, bits 0 and 1 the byte: no array, whose
// indexing by a runtime value would go through memory.
fn decode_table(codes: u32) -> vec4<f32> {
    let q = unpack4xU8(codes);
    let odd = (q & vec4<u32>(4u)) != vec4<u32>(0u);
    let negative = select(vec4<u32>(0xbfad9881u), vec4<u32>(0xf6eaddcfu), odd);
    let positive = select(vec4<u32>(0x26190d01u), vec4<u32>(0x71594535u), odd);
    let word = select(negative, positive, q >= vec4<u32>(8u));
    // Shifts the byte to the top, then down again with its sign.
    let top = word << ((vec4<u32>(3u) - (q & vec4<u32>(3u))) << vec4<u32>(3u));
    return vec4<f32>(bitcast<vec4<i32>>(top) >> vec4<u32>(24u));
}

fn decode_scale(planes: vec4<u32>, g: u32) -> f32 {
    let at = planes.y + 2u * (g >> 3u);
    let i = g & 7u;
    let head = w1(at);
    let sc = ((w1(at + 1u) >> (i << 2u)) & 15u) | (((head >> (16u + (i << 1u))) & 3u) << 4u);
    return unpack2x16float(head).x * (f32(sc) - 32.0);
}

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
