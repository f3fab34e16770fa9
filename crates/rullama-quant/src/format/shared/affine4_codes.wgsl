// 4-bit codes as bytes, with an affine scale: w = s.x * q + s.y, s = decode_affine(planes, g).
const CODES_ONE_SCALE = true;

fn codes_group(planes: vec4<u32>, g: u32) -> Codes {
    let q = w4((planes.x >> 2u) + g);
    let lo = q & vec4<u32>(0x0f0f0f0fu);
    let hi = (q >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);
    return Codes(vec4<u32>(lo.x, hi.x, lo.y, hi.y), vec4<u32>(lo.z, hi.z, lo.w, hi.w), decode_affine(planes, g).xxyy);
}
