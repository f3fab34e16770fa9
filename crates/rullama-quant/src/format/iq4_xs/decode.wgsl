// IQ4_XS: w = d * (sc - 32) * T[q] with the table of IQ4_NL.
// Plane x: 4-bit codes, a vec4 a group. Plane y: two words a block of 8 groups: d and the high
// bits of the 6-bit scales, then their low nibbles.
// WGSL lets unpack2x16float flush subnormal halves (below 6.1e-5) to zero; the CPU keeps them.

fn decode_scale(planes: vec4<u32>, g: u32) -> f32 {
    let at = planes.y + 2u * (g >> 3u);
    let i = g & 7u;
    let head = w1(at);
    let sc = ((w1(at + 1u) >> (i << 2u)) & 15u) | (((head >> (16u + (i << 1u))) & 3u) << 4u);
    return unpack2x16float(head).x * (f32(sc) - 32.0);
}
