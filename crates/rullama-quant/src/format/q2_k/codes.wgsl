const CODES_ONE_SCALE = false;

fn codes_group(planes: vec4<u32>, g: u32) -> Codes {
    let pair = w4((planes.x >> 2u) + (g >> 1u));
    let q = select(pair.xy, pair.zw, (g & 1u) != 0u);
    let shift = vec4<u32>(0u, 2u, 4u, 6u);
    let mask = vec4<u32>(0x03030303u);
    return Codes((q.xxxx >> shift) & mask, (q.yyyy >> shift) & mask, decode_affine(planes, g));
}
