// Q2_K: w = d * (sc & 15) * q - dmin * (sc >> 4); 16 elements share a scale.
// Plane x: 2-bit codes, 2 words a group. Plane y: two scale bytes a group, two groups a word.
// Plane z: a word (d, dmin) a block of 8 groups.
// WGSL lets unpack2x16float flush subnormal halves (below 6.1e-5) to zero; the CPU keeps them.

// (scale, scale, -min, -min) of the two halves of the group.
fn decode_affine(planes: vec4<u32>, g: u32) -> vec4<f32> {
    let d = unpack2x16float(w1(planes.z + (g >> 3u)));
    let sc = w1(planes.y + (g >> 1u)) >> ((g & 1u) << 4u);
    let s = vec4<u32>(sc, sc >> 8u, sc >> 4u, sc >> 12u) & vec4<u32>(15u);
    return vec4<f32>(s) * vec4<f32>(d.xx, -d.yy);
}

fn decode_group(planes: vec4<u32>, g: u32) -> array<vec4<f32>, 8> {
    let pair = w4((planes.x >> 2u) + (g >> 1u));
    let q = select(pair.xy, pair.zw, (g & 1u) != 0u);
    let s = decode_affine(planes, g);
    return array<vec4<f32>, 8>(
        s.x * vec4<f32>(unpack4xU8((q.x & 0x03030303u))) + s.z,
        s.x * vec4<f32>(unpack4xU8(((q.x >> 2u) & 0x03030303u))) + s.z,
        s.x * vec4<f32>(unpack4xU8(((q.x >> 4u) & 0x03030303u))) + s.z,
        s.x * vec4<f32>(unpack4xU8(((q.x >> 6u) & 0x03030303u))) + s.z,
        s.y * vec4<f32>(unpack4xU8((q.y & 0x03030303u))) + s.w,
        s.y * vec4<f32>(unpack4xU8(((q.y >> 2u) & 0x03030303u))) + s.w,
        s.y * vec4<f32>(unpack4xU8(((q.y >> 4u) & 0x03030303u))) + s.w,
        s.y * vec4<f32>(unpack4xU8(((q.y >> 6u) & 0x03030303u))) + s.w,
    );
}

fn decode4(planes: vec4<u32>, g: u32, j: u32) -> vec4<f32> {
    let q = (w1(planes.x + 2u * g + (j >> 2u)) >> ((j & 3u) << 1u)) & 0x03030303u;
    let affine = decode_affine(planes, g);
    let s = select(affine.xz, affine.yw, j >= 4u);
    return s.x * vec4<f32>(unpack4xU8(q)) + s.y;
}
