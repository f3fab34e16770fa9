// A group of 32 values in codes of 8 bits: see the operation `quantise`, which defines them.

// Bits of the largest magnitude of four: they are in the order of the magnitudes, and those of no numbers are above all others.
fn most_bits(values: vec4<f32>) -> u32 {
    let bits = bitcast<vec4<u32>>(values) & vec4<u32>(0x7fffffffu);
    return max(max(bits.x, bits.y), max(bits.z, bits.w));
}

struct GroupScale {
    // Whether codes are other than 0.
    used: bool,
    // Codes a value.
    factor: f32,
    // Bits of the value of a code.
    d: u32,
}

// Of the bits of a group's largest magnitude.
fn group_scale(bits: u32) -> GroupScale {
    let finite = bits < 0x7f800000u;
    let used = finite && bits > 0x0d800000u;
    let largest = bitcast<f32>(select(0x3f800000u, bits, used));
    let d = bitcast<u32>(select(0.0, largest * (1.0 / 127.0), used));
    return GroupScale(used, 127.0 / largest, select(0x7fc00000u, d, finite));
}

fn group_codes(values: vec4<f32>, scale: GroupScale) -> vec4<i32> {
    return vec4<i32>(round(select(vec4<f32>(), values, scale.used) * scale.factor));
}

// What stands beside the codes: the sums of those of both halves as halves, which are exact.
fn group_words(scale: GroupScale, low: i32, high: i32) -> vec2<u32> {
    return vec2<u32>(scale.d, pack2x16float(vec2<f32>(vec2<i32>(low, high))));
}
