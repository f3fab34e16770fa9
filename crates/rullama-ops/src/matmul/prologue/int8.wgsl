// x in codes of 8 bits, as the operation `quantise` defines them: a group's codes lie in two vec4, beside them its scale d and the sums of
// the codes of its two halves.
@group(0) @binding(_) var<storage, read> x_codes: array<vec4<u32>>;
@group(0) @binding(_) var<storage, read> x_scales: array<vec2<u32>>;

#import code_groups

// The first group of a token.
fn x_row(token: u32) -> u32 {
    return token * params.groups;
}

fn load_codes(row: u32, g: u32) -> Given {
    let at = row + g;
    let scale = x_scales[at];
    return Given(x_codes[2u * at], x_codes[2u * at + 1u], bitcast<f32>(scale.x), unpack2x16float(scale.y));
}
