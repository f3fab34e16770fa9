// What of a layer lies behind its attention, and the next layer's first product, for one token, in one dispatch whose workgroups
// stay: all hold the residual stream, each forms some rows of every product. Whether all run at once nobody promises: a wait that takes
// too long is given up, and the result is no number.
//
// Weights are loaded before what they are multiplied with is waited for. Each workgroup sends some of every vector, so that whoever has
// all of one knows that all have read what was waited for before it was sent: then its words are cleared.
#import math
#import group_codes
#import code_groups

struct Params {
    eps: f32,
    scale: f32,
    h_offset: u32,
    e_offset: u32,
    o_x: u32, o_y: u32, o_z: u32, o_w: u32,
    up_x: u32, up_y: u32, up_z: u32, up_w: u32,
    down_x: u32, down_y: u32, down_z: u32, down_w: u32,
    gate_x: u32, gate_y: u32, gate_z: u32, gate_w: u32,
    proj_x: u32, proj_y: u32, proj_z: u32, proj_w: u32,
#if next
    next_x: u32, next_y: u32, next_z: u32, next_w: u32,
#endif
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> a_codes: array<vec4<u32>>;
@group(0) @binding(_) var<storage, read> a_scales: array<vec2<u32>>;
@group(0) @binding(_) var<storage, read> h: array<f32>;
@group(0) @binding(_) var<storage, read> norm_o: array<f32>;
@group(0) @binding(_) var<storage, read> norm_up: array<f32>;
@group(0) @binding(_) var<storage, read> norm_down: array<f32>;
@group(0) @binding(_) var<storage, read> norm_proj: array<f32>;
@group(0) @binding(_) var<storage, read> norm_next: array<f32>;
@group(0) @binding(_) var<storage, read> e: array<f32>;
@group(0) @binding(_) var<storage, read> weight_o: array<vec4<u32>>;
@group(0) @binding(_) var<storage, read> weight_up: array<vec4<u32>>;
@group(0) @binding(_) var<storage, read> weight_down: array<vec4<u32>>;
@group(0) @binding(_) var<storage, read> weight_gate: array<vec4<u32>>;
@group(0) @binding(_) var<storage, read> weight_proj: array<vec4<u32>>;
@group(0) @binding(_) var<storage, read_write> out: array<u32>;
#if next
@group(0) @binding(_) var<storage, read> weight_next: array<vec4<u32>>;
@group(0) @binding(_) var<storage, read_write> y: array<f32>;
#endif
#if codes
@group(0) @binding(_) var<storage, read_write> y_codes: array<u32>;
@group(0) @binding(_) var<storage, read_write> y_scales: array<vec2<u32>>;
#endif

fn w4_o(i: u32) -> vec4<u32> { return weight_o[i]; }
fn w1_o(i: u32) -> u32 { return weight_o[i >> 2u][i & 3u]; }
fn w4_up(i: u32) -> vec4<u32> { return weight_up[i]; }
fn w1_up(i: u32) -> u32 { return weight_up[i >> 2u][i & 3u]; }
fn w4_down(i: u32) -> vec4<u32> { return weight_down[i]; }
fn w1_down(i: u32) -> u32 { return weight_down[i >> 2u][i & 3u]; }
fn w4_gate(i: u32) -> vec4<u32> { return weight_gate[i]; }
fn w1_gate(i: u32) -> u32 { return weight_gate[i >> 2u][i & 3u]; }
fn w4_proj(i: u32) -> vec4<u32> { return weight_proj[i]; }
fn w1_proj(i: u32) -> u32 { return weight_proj[i >> 2u][i & 3u]; }
#import decode_o as o
#import codes_o as o
#import codes_dot as o
#import decode_up as up
#import codes_up as up
#import codes_dot as up
#import decode_down as down
#import codes_down as down
#import codes_dot_halves as down
#import decode_gate as gate
#import decode_proj as proj
#if next
fn w4_next(i: u32) -> vec4<u32> { return weight_next[i]; }
fn w1_next(i: u32) -> u32 { return weight_next[i >> 2u][i & 3u]; }
#import decode_next as next
#import codes_next as next
#import codes_dot as next
#endif

const WARPS = WG / SUB;
const DG = D / 32u;
const DQ = D / 4u;
// Where vectors stand among the words; those whose length differs between layers come last.
const STATUS = 0u;
const O_AT = 4u;
const D_AT = O_AT + D;
const P_AT = D_AT + D;
const U_AT = P_AT + D;
const AT_f = U_AT + P;
const N_f = F;

var<workgroup> made: array<f32, 16u * EACH_f>;
#import words
#import staged
#import halves as f
var<workgroup> values: array<f32, D>;
var<workgroup> parts: array<f32, 2u * WARPS>;
var<workgroup> sums: array<f32, RD * SPLIT + RP * TEAM>;

// A sum over the workgroup; `turn` takes another place each time, so that one barrier does.
fn reduce(value: f32, warp: u32, lane: u32, turn: u32) -> f32 {
    let part = subgroupAdd(value);
    if (lane == 0u) { parts[turn * WARPS + warp] = part; }
    workgroupBarrier();
    var sum = 0.0;
#repeat i ADDENDS
    sum += select(0.0, parts[turn * WARPS + min({i}u * SUB + lane, WARPS - 1u)], {i}u * SUB + lane < WARPS);
#end
    return subgroupAdd(sum);
}

// Value k of those of a vector of D that a lane holds: of group warp + k / HELD * WARPS.
fn group_of(k: u32, warp: u32) -> u32 { return warp + k / HELD * WARPS; }
fn place_of(k: u32, warp: u32, lane: u32) -> u32 { return min(group_of(k, warp), DG - 1u) * 32u + k % HELD * SUB + lane; }
fn is_here(k: u32, warp: u32) -> bool { return group_of(k, warp) < DG; }

// Waits for the values that a lane holds of the vector that begins at `first`.
fn take(first: u32, warp: u32, lane: u32) -> array<f32, HOLDS> {
#repeat k HOLDS
    let at{k} = first + place_of({k}u, warp, lane);
    var x{k} = atomicLoad(&words[at{k}]);
#end
    var missing = true;
    for (var k = 0u; k < patience; k++) {
        missing = false;
#repeat k HOLDS
        if (subgroupAny(x{k} == 0u)) { x{k} = atomicLoad(&words[at{k}]); }
        missing = missing | (x{k} == 0u);
#end
        if (!subgroupAny(missing)) { break; }
    }
    check(missing, lane);
    var taken: array<f32, HOLDS>;
#repeat k HOLDS
    taken[{k}] = select(0.0, bitcast<f32>(x{k}), is_here({k}u, warp));
#end
    return taken;
}

// 1 / sqrt(mean x^2 + eps) of what all lanes hold.
fn norm_scale(x: array<f32, HOLDS>, warp: u32, lane: u32, turn: u32) -> f32 {
    var square = 0.0;
#repeat k HOLDS
    square += x[{k}] * x[{k}];
#end
    return inverseSqrt(reduce(square, warp, lane, turn) / f32(D) + params.eps);
}

// Codes of x * weight; weights are `by`.
fn stage_all(x: array<f32, HOLDS>, by: array<f32, HOLDS>, warp: u32, lane: u32) {
#repeat i HOLDS_GROUPS
    var group{i}: array<f32, HELD>;
#repeat j HELD
    group{i}[{j}] = x[{i}u * HELD + {j}u] * by[{i}u * HELD + {j}u];
#end
    stage(warp + {i}u * WARPS, group{i}, lane, warp + {i}u * WARPS < DG);
#end
}

// Which pair of rows is the t-th of a workgroup: those of half a group of codes stand together.
fn pair_of(wg: u32, t: u32) -> u32 {
    return min(16u * (wg + W * (t / 16u)) + t % 16u, F - 1u);
}

// Which half of a subgroup a lane is in, and where.
fn side_of(lane: u32) -> u32 { return lane / (SUB / 2u); }
fn inner_of(lane: u32) -> u32 { return lane % (SUB / 2u); }

// Over half a subgroup.
fn inner_sum(value: f32) -> f32 {
    var sum = value;
#repeat s HALVINGS
    sum += subgroupShuffleXor(sum, SUB / 4u >> {s}u);
#end
    return sum;
}

// Clears a workgroup's words of a vector: those wg, wg + W, ...
fn clear(first: u32, count: u32, wg: u32, lid: u32) {
    for (var i = wg + W * lid; i < count; i += W * WG) { atomicStore(&words[first + i], 0u); }
}

#import products

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(subgroup_id) warp: u32, @builtin(subgroup_invocation_id) lane: u32) {
    let wg = id.x;
    let lid = warp * SUB + lane;
    if (atomicLoad(&words[STATUS]) != 0u) { patience = 0u; }
    // Those of the dispatch before, which nobody could clear: all will have sent a vector before the first of these is wanted.
    clear(P_AT, D + P, wg, lid);
    storageBarrier();
    var v: array<f32, HOLDS>;
#repeat k HOLDS
    v[{k}] = h[params.h_offset + place_of({k}u, warp, lane)];
#end
    send_o(wg, warp, lane);
    send_f(&v, wg, warp, lane);
    send_d(wg, warp, lane);
    send_u(&v, wg, warp, lane);
    send_p(wg, warp, lane);
    clear_halves_f(wg, lid);
    clear(O_AT, D, wg, lid);
    clear(D_AT, D, wg, lid);
#if codes
    if (wg != 0u) { return; }
#endif
    finish(&v, wg, warp, lane);
}
