// A workgroup a token. An expert's rank is the number of those before it: with a larger logit, or the same and a lower index.
// Softmax keeps that order, and renormalised it is the softmax over what was chosen.
#import math

struct Params { tokens: u32, stride: u32, offset: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> logits: array<f32>;
#if factors
@group(0) @binding(_) var<storage, read> factors: array<f32>;
#endif
@group(0) @binding(_) var<storage, read_write> ids: array<f32>;
@group(0) @binding(_) var<storage, read_write> weights: array<f32>;

var<workgroup> keys: array<u32, EXPERTS>;
var<workgroup> chosen: array<f32, USED>;
var<workgroup> indices: array<u32, USED>;

// In the order of the logits, by bits: comparisons of floats lose NaN on some drivers. NaN comes first, so that weights show it.
fn key(logit: f32) -> u32 {
    let bits = bitcast<u32>(logit);
    let size = bits & 0x7fffffffu;
    if (size > 0x7f800000u) { return 0xffffffffu; }
    if (size == 0u) { return 0x80000000u; }
    return select(bits | 0x80000000u, ~bits, bits != size);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let token = wg.y * groups.x + wg.x;
    if (token >= params.tokens) { return; }
    let row = params.offset + token * params.stride;
    for (var i = lid; i < EXPERTS; i += WG) {
        keys[i] = key(logits[row + i]);
    }
    workgroupBarrier();
    for (var i = lid; i < EXPERTS; i += WG) {
        let own = keys[i];
        var rank = 0u;
        for (var j = 0u; j < EXPERTS; j++) {
            rank += select(0u, 1u, keys[j] > own || (keys[j] == own && j < i));
        }
        if (rank < USED) {
            indices[rank] = i;
            chosen[rank] = logits[row + i];
            ids[token * USED + rank] = f32(i);
        }
    }
    workgroupBarrier();
    for (var k = lid; k < USED; k += WG) {
        var sum = 0.0;
        for (var j = 0u; j < USED; j++) {
            sum += safe_exp(params.scale * (chosen[j] - chosen[0]));
        }
        var weight = safe_exp(params.scale * (chosen[k] - chosen[0])) / sum;
#if factors
        weight *= factors[indices[k]];
#endif
        weights[token * USED + k] = weight;
    }
}
