// Values as a cache in 8 bits keeps them: a word of four codes c, and a half d for each block of 32 values, x = c d:
// d = max(f16(max |x| / 127), 2^-14), c = round(x / d). A block that no scale reaches has the scale NaN.
// Scales of two blocks share a word, and other workgroups may write the other half: words are atomic.
alias Stored = atomic<u32>;

const NO_SCALE = 0x7e00u;
// The bits of 127 * 65504, the largest that a half reaches.
const LARGEST = 0x4afde040u;

// The bits of the largest magnitude: they are ordered as magnitudes are, what is infinite or no number last.
fn magnitude(x: vec4<f32>) -> u32 {
    let m = bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu);
    return max(max(m.x, m.y), max(m.z, m.w));
}

// The half that is the scale of a block.
fn scale_bits(largest: u32) -> u32 {
    if (largest > LARGEST) { return NO_SCALE; }
    return pack2x16float(vec2<f32>(clamp(bitcast<f32>(largest) / 127.0, 0.00006103515625, 65504.0), 0.0));
}

fn codes(x: vec4<f32>, scale: u32) -> u32 {
    if (scale == NO_SCALE) { return 0u; }
    let c = round(x / unpack2x16float(scale).x);
    return pack4xI8(vec4<i32>(clamp(c, vec4<f32>(-127.0), vec4<f32>(127.0))));
}

// A scale in its half of a word, and the mask of the other half.
fn in_half(block: u32, scale: u32) -> u32 { return scale << ((block & 1u) * 16u); }
fn other_half(block: u32) -> u32 { return select(0xffff0000u, 0x0000ffffu, (block & 1u) == 1u); }
