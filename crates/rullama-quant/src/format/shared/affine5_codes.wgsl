// 5-bit codes as bytes: w = s.x * q + s.y, s = decode_affine(planes, g).
const CODES_ONE_SCALE = true;

fn codes_group(planes: vec4<u32>, g: u32) -> Codes {
    let q = w4((planes.x >> 2u) + g);
    let lo = q & vec4<u32>(0x0f0f0f0fu);
    let hi = (q >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);
    let h = w1(planes.y + g);
    return Codes(
        vec4<u32>(lo.x | decode_fifth(h), hi.x | decode_fifth(h >> 4u), lo.y | decode_fifth(h >> 8u), hi.y | decode_fifth(h >> 12u)),
        vec4<u32>(lo.z | decode_fifth(h >> 16u), hi.z | decode_fifth(h >> 20u), lo.w | decode_fifth(h >> 24u), hi.w | decode_fifth(h >> 28u)),
        decode_affine(planes, g).xxyy,
    );
}
