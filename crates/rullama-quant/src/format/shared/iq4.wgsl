// The table of the IQ4 formats.

// The 16 signed bytes -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 lie
// in four words. Bits 2 and 3 of a code select the word, bits 0 and 1 the byte: no array, whose
// indexing by a runtime value would go through memory.
fn decode_signed(codes: u32) -> vec4<i32> {
    let q = unpack4xU8(codes);
    let odd = (q & vec4<u32>(4u)) != vec4<u32>(0u);
    let negative = select(vec4<u32>(0xbfad9881u), vec4<u32>(0xf6eaddcfu), odd);
    let positive = select(vec4<u32>(0x26190d01u), vec4<u32>(0x71594535u), odd);
    let word = select(negative, positive, q >= vec4<u32>(8u));
    // Shifts the byte to the top, then down again with its sign.
    let top = word << ((vec4<u32>(3u) - (q & vec4<u32>(3u))) << vec4<u32>(3u));
    return bitcast<vec4<i32>>(top) >> vec4<u32>(24u);
}

fn decode_table(codes: u32) -> vec4<f32> {
    return vec4<f32>(decode_signed(codes));
}

fn decode_entries(codes: u32) -> u32 {
    return pack4xI8(decode_signed(codes));
}
