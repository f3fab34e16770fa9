// Q8_0: w = d * q.
// Plane x: signed codes, 2 vec4 a group. Plane y: f16 d a group, two a word.
// WGSL lets unpack2x16float flush subnormal halves (below 6.1e-5) to zero; the CPU keeps them.

fn decode_scale(planes: vec4<u32>, g: u32) -> f32 {
    return unpack2x16float(w1(planes.y + (g >> 1u)) >> ((g & 1u) << 4u)).x;
}

fn decode_group(planes: vec4<u32>, g: u32) -> array<vec4<f32>, 8> {
    let at = (planes.x >> 2u) + 2u * g;
    let a = w4(at);
    let b = w4(at + 1u);
    let d = decode_scale(planes, g);
    return array<vec4<f32>, 8>(
        d * vec4<f32>(unpack4xI8(a.x)),
        d * vec4<f32>(unpack4xI8(a.y)),
        d * vec4<f32>(unpack4xI8(a.z)),
        d * vec4<f32>(unpack4xI8(a.w)),
        d * vec4<f32>(unpack4xI8(b.x)),
        d * vec4<f32>(unpack4xI8(b.y)),
        d * vec4<f32>(unpack4xI8(b.z)),
        d * vec4<f32>(unpack4xI8(b.w)),
    );
}

fn decode4(planes: vec4<u32>, g: u32, j: u32) -> vec4<f32> {
    let q = w1(planes.x + 8u * g + j);
    return decode_scale(planes, g) * vec4<f32>(unpack4xI8(q));
}
