const CODES_ONE_SCALE = true;

fn codes_group(planes: vec4<u32>, g: u32) -> Codes {
    let at = (planes.x >> 2u) + 2u * g;
    let d = decode_scale(planes, g);
    return Codes(w4(at), w4(at + 1u), vec4<f32>(d, d, 0.0, 0.0));
}
