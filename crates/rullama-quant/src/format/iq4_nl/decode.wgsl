// IQ4_NL: w = d * T[q] with a fixed table.
// Plane x: 4-bit codes, a vec4 a group. Plane y: f16 d a group, two a word.
// WGSL lets unpack2x16float flush subnormal halves (below 6.1e-5) to zero; the CPU keeps them.

fn decode_scale(planes: vec4<u32>, g: u32) -> f32 {
    return unpack2x16float(w1(planes.y + (g >> 1u)) >> ((g & 1u) << 4u)).x;
}
