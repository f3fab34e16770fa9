// Entries of the table, which are whole numbers of 8 bits, in the place of the codes.
const CODES_ONE_SCALE = true;

fn codes_group(planes: vec4<u32>, g: u32) -> Codes {
    let q = w4((planes.x >> 2u) + g);
    let lo = q & vec4<u32>(0x0f0f0f0fu);
    let hi = (q >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);
    let s = decode_scale(planes, g);
    return Codes(
        vec4<u32>(decode_entries(lo.x), decode_entries(hi.x), decode_entries(lo.y), decode_entries(hi.y)),
        vec4<u32>(decode_entries(lo.z), decode_entries(hi.z), decode_entries(lo.w), decode_entries(hi.w)),
        vec4<f32>(s, s, 0.0, 0.0),
    );
}
