const CODES_ONE_SCALE = false;

fn codes_group(planes: vec4<u32>, g: u32) -> Codes {
    let pair = w4((planes.x >> 2u) + (g >> 1u));
    let q = select(pair.xy, pair.zw, (g & 1u) != 0u);
    let h = w1(planes.y + g);
    let shift = vec4<u32>(0u, 2u, 4u, 6u);
    let mask = vec4<u32>(0x03030303u);
    let a = vec4<u32>(decode_third(h), decode_third(h >> 4u), decode_third(h >> 8u), decode_third(h >> 12u));
    let b = vec4<u32>(decode_third(h >> 16u), decode_third(h >> 20u), decode_third(h >> 24u), decode_third(h >> 28u));
    let s = decode_scales(planes, g);
    return Codes(((q.xxxx >> shift) & mask) | a, ((q.yyyy >> shift) & mask) | b, vec4<f32>(s, -4.0 * s));
}
