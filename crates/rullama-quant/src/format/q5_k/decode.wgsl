// Q5_K: w = d * sc * q - dmin * mn.
// Plane x: 4-bit codes, a vec4 a group. Plane y: fifth bits, a word a group. Plane z: a vec4 a
// block of 8 groups: (d, dmin), then the 12 bytes of 6-bit scales and mins as in the file.
// WGSL lets unpack2x16float flush subnormal halves (below 6.1e-5) to zero; the CPU keeps them.

// (d * sc, -dmin * mn) of the group: one 16-byte load holds all 8 groups of the block.
fn decode_affine(planes: vec4<u32>, g: u32) -> vec2<f32> {
    let block = w4((planes.z >> 2u) + (g >> 3u));
    let s = block.yzw >> vec3<u32>((g & 3u) << 3u);
    let sc = select(s.x & 63u, (s.z & 15u) | ((s.x >> 2u) & 48u), (g & 4u) != 0u);
    let mn = select(s.y & 63u, ((s.z >> 4u) & 15u) | ((s.y >> 2u) & 48u), (g & 4u) != 0u);
    return unpack2x16float(block.x) * vec2<f32>(f32(sc), -f32(mn));
}
