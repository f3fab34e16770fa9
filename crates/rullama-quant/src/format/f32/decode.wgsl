// F32: plain values. Plane x: the values, 8 vec4 a group.

fn decode_group(planes: vec4<u32>, g: u32) -> array<vec4<f32>, 8> {
    let at = (planes.x >> 2u) + 8u * g;
    return array<vec4<f32>, 8>(
        bitcast<vec4<f32>>(w4(at)),
        bitcast<vec4<f32>>(w4(at + 1u)),
        bitcast<vec4<f32>>(w4(at + 2u)),
        bitcast<vec4<f32>>(w4(at + 3u)),
        bitcast<vec4<f32>>(w4(at + 4u)),
        bitcast<vec4<f32>>(w4(at + 5u)),
        bitcast<vec4<f32>>(w4(at + 6u)),
        bitcast<vec4<f32>>(w4(at + 7u)),
    );
}

fn decode4(planes: vec4<u32>, g: u32, j: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(w4((planes.x >> 2u) + 8u * g + j));
}
