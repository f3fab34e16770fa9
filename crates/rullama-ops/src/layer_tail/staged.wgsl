// Codes of a vector in workgroup memory. Word k of group g stands at k * PITCH + g: neighbouring lanes read neighbouring groups.
const PITCH = MOST / 32u + 1u;
var<workgroup> staged: array<u32, 8u * PITCH>;
// Of whole groups.
var<workgroup> group_scales: array<vec2<u32>, D / 32u>;
// Of halves of groups.
var<workgroup> half_scales: array<f32, MOST / 16u>;

// What is multiplied where each half of a group has a scale of its own.
struct Halves {
    lo: vec4<u32>,
    hi: vec4<u32>,
    d: vec2<f32>,
    sums: vec2<f32>,
}

fn given(g: u32) -> Given {
    let scale = group_scales[g];
    let lo = vec4<u32>(staged[g], staged[PITCH + g], staged[2u * PITCH + g], staged[3u * PITCH + g]);
    let hi = vec4<u32>(staged[4u * PITCH + g], staged[5u * PITCH + g], staged[6u * PITCH + g], staged[7u * PITCH + g]);
    return Given(lo, hi, bitcast<f32>(scale.x), unpack2x16float(scale.y));
}

fn four_sum(x: vec4<u32>) -> i32 {
    let one = 0x01010101u;
    return dot4I8Packed(x.x, one) + dot4I8Packed(x.y, one) + dot4I8Packed(x.z, one) + dot4I8Packed(x.w, one);
}

// `here` false: a group past the end, which weighs nothing.
fn given_halves(g: u32, here: bool) -> Halves {
    let lo = vec4<u32>(staged[g], staged[PITCH + g], staged[2u * PITCH + g], staged[3u * PITCH + g]);
    let hi = vec4<u32>(staged[4u * PITCH + g], staged[5u * PITCH + g], staged[6u * PITCH + g], staged[7u * PITCH + g]);
    let d = vec2<f32>(half_scales[2u * g], half_scales[2u * g + 1u]);
    return Halves(lo, hi, select(vec2<f32>(), d, here), vec2<f32>(vec2<i32>(four_sum(lo), four_sum(hi))));
}

// A word of four codes of neighbouring lanes, the same in each of them.
fn word_of(code: i32, lane: u32) -> u32 {
    var word = (u32(code) & 255u) << (8u * (lane & 3u));
    word |= subgroupShuffleXor(word, 1u);
    word |= subgroupShuffleXor(word, 2u);
    return word;
}

// A group's codes, HELD values a lane: value j of lane l is the group's value j SUB + l.
fn stage(g: u32, value: array<f32, HELD>, lane: u32, here: bool) {
    var bits = 0u;
#repeat j HELD
    bits = max(bits, bitcast<u32>(value[{j}]) & 0x7fffffffu);
#end
    let scale = group_scale(subgroupMax(bits));
    var low = 0;
    var high = 0;
#repeat j HELD
    let code{j} = i32(round(select(0.0, value[{j}], scale.used) * scale.factor));
    let lower{j} = {j}u * SUB + lane < 16u;
    low += select(0, code{j}, lower{j});
    high += select(code{j}, 0, lower{j});
    let word{j} = word_of(code{j}, lane);
#end
    low = subgroupAdd(low);
    high = subgroupAdd(high);
#repeat j HELD
    if (here && (lane & 3u) == 0u) { staged[({j}u * SUB + lane) / 4u * PITCH + g] = word{j}; }
#end
    if (here && lane == 0u) { group_scales[g] = group_words(scale, low, high); }
}
