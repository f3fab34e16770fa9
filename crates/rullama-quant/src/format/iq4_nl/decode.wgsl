// IQ4_NL: w = d * T[q] with a fixed table.
// Plane x: 4-bit codes, a vec4 a group. Plane y: f16 d a group, two a word.
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
    return unpack2x16float(w1(planes.y + (g >> 1u)) >> ((g & 1u) << 4u)).x;
}

fn decode_group(planes: vec4<u32>, g: u32) -> array<vec4<f32>, 8> {
    let q = w4((planes.x >> 2u) + g);
    let lo = q & vec4<u32>(0x0f0f0f0fu);
    let hi = (q >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);
    let d = decode_scale(planes, g);
    return array<vec4<f32>, 8>(
        d * decode_table(lo.x),
        d * decode_table(hi.x),
        d * decode_table(lo.y),
        d * decode_table(hi.y),
        d * decode_table(lo.z),
        d * decode_table(hi.z),
        d * decode_table(lo.w),
        d * decode_table(hi.w),
    );
}

fn decode4(planes: vec4<u32>, g: u32, j: u32) -> vec4<f32> {
    let q = (w1(planes.x + 4u * g + (j >> 1u)) >> ((j & 1u) << 2u)) & 0x0f0f0f0fu;
    return decode_scale(planes, g) * decode_table(q);
}
