const CODES_ONE_SCALE = false;

fn codes_group(planes: vec4<u32>, g: u32) -> Codes {
    let q = w4((planes.x >> 2u) + g);
    let lo = q & vec4<u32>(0x0f0f0f0fu);
    let hi = (q >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);
    let pair = w4((planes.y >> 2u) + (g >> 1u));
    let high = select(pair.xy, pair.zw, (g & 1u) != 0u);
    let a = vec4<u32>(high.x << 4u, high.x << 2u, high.x, high.x >> 2u) & vec4<u32>(0x30303030u);
    let b = vec4<u32>(high.y << 4u, high.y << 2u, high.y, high.y >> 2u) & vec4<u32>(0x30303030u);
    let s = decode_scales(planes, g);
    return Codes(vec4<u32>(lo.x, hi.x, lo.y, hi.y) | a, vec4<u32>(lo.z, hi.z, lo.w, hi.w) | b, vec4<f32>(s, -32.0 * s));
}
