// F16: IEEE half floats. Plane x: the values, 4 vec4 a group, two a word.
// WGSL lets unpack2x16float flush subnormal halves (below 6.1e-5) to zero; the CPU keeps them.

fn decode_group(planes: vec4<u32>, g: u32) -> array<vec4<f32>, 8> {
    let at = (planes.x >> 2u) + 4u * g;
    let a = w4(at);
    let b = w4(at + 1u);
    let c = w4(at + 2u);
    let d = w4(at + 3u);
    return array<vec4<f32>, 8>(
        vec4<f32>(unpack2x16float(a.x), unpack2x16float(a.y)),
        vec4<f32>(unpack2x16float(a.z), unpack2x16float(a.w)),
        vec4<f32>(unpack2x16float(b.x), unpack2x16float(b.y)),
        vec4<f32>(unpack2x16float(b.z), unpack2x16float(b.w)),
        vec4<f32>(unpack2x16float(c.x), unpack2x16float(c.y)),
        vec4<f32>(unpack2x16float(c.z), unpack2x16float(c.w)),
        vec4<f32>(unpack2x16float(d.x), unpack2x16float(d.y)),
        vec4<f32>(unpack2x16float(d.z), unpack2x16float(d.w)),
    );
}

fn decode4(planes: vec4<u32>, g: u32, j: u32) -> vec4<f32> {
    let at = planes.x + 16u * g + 2u * j;
    return vec4<f32>(unpack2x16float(w1(at)), unpack2x16float(w1(at + 1u)));
}
