// Q5_1: w = d * q + m.
// Plane x: 4-bit codes, a vec4 a group. Plane y: fifth bits, a word a group. Plane z: a word
// (d, m) a group.
// WGSL lets unpack2x16float flush subnormal halves (below 6.1e-5) to zero; the CPU keeps them.

fn decode_affine(planes: vec4<u32>, g: u32) -> vec2<f32> {
    return unpack2x16float(w1(planes.z + g));
}
