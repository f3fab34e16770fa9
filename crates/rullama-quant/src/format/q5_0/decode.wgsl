// Q5_0: w = d * (q - 16), computed as d * q - 16d, which is exact and one fused operation.
// Plane x: 4-bit codes, a vec4 a group. Plane y: fifth bits, a word a group. Plane z: f16 d a
// group, two a word.
// WGSL lets unpack2x16float flush subnormal halves (below 6.1e-5) to zero; the CPU keeps them.

fn decode_affine(planes: vec4<u32>, g: u32) -> vec2<f32> {
    let d = unpack2x16float(w1(planes.z + (g >> 1u)) >> ((g & 1u) << 4u)).x;
    return vec2<f32>(d, -16.0 * d);
}
