// One share of the keys for up to four query heads that use the same keys: the running
// maximum, the sum of the weights and the weighted sum of the values go to `parts`, for
// `combine`. The share is read once for all of the heads:
// 1. scores: a team of TEAM invocations takes a key, each member every TEAM-th run of eight
//    values; q stands in workgroup memory.
// 2. weights: an invocation a key.
// 3. values: an invocation a run of eight output values, for every STREAMS-th key.
// Queries, keys and values are loaded together: each wait for memory takes as long as all else.
#import math
#import span
#import cached

struct Params {
    heads: u32, shared_by: u32, // query heads; how many of them use one head of keys
    groups: u32, // workgroups that a head of keys needs for its query heads
    width: u32, // runs of eight in a slot
    slots: u32,
    window: u32, // 0 for none
    splits: u32, // shares of a token's keys
    q_stride: u32, q_offset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> state: array<u32>;
// A record a head, token and share: (maximum, sum, 0, 0), then QUADS quads.
@group(0) @binding(_) var<storage, read_write> parts: array<vec4<f32>>;

const TEAMS = WG / TEAM;
const KEYS = TEAMS;
const RUNS = QUADS / 2u;
const STREAMS = WG / RUNS;
// Keys at a time, and beyond, up to a whole number for each stream, what weighs nothing.
const SLOTS = VALUE_LOADS * STREAMS;

// The queries, per head the first quads of all runs, then the second ones.
var<workgroup> queries: array<vec4<f32>, SHARE * QUADS>;
// A component a head.
var<workgroup> scores: array<vec4<f32>, SLOTS>;
var<workgroup> weights: array<vec4<f32>, SLOTS>;
var<workgroup> exchange: array<vec4<f32>, 2u * WG>;

fn slot_runs() -> u32 { return params.width; }

// Where the i-th key from the slot `first` begins; i is at most the number of slots.
fn slot_at(first: u32, i: u32) -> u32 {
    let slot = first + i;
    return select(slot, slot - params.slots, slot >= params.slots) * params.width;
}

// The i-th quad of the workgroup's queries.
fn query(i: u32, token: u32, head: u32, last: u32) -> vec4<f32> {
    let at = params.q_offset + token * params.q_stride;
    return select(vec4<f32>(), q[at + min(head * QUADS + i, last * QUADS - 1u)], head + i / QUADS < last);
}

fn keep_query(i: u32, x: vec4<f32>) {
    let quad = i % QUADS;
    if (i < SHARE * QUADS) { queries[i - quad + (quad & 1u) * RUNS + quad / 2u] = x; }
}

fn product(run: u32, h: u32, x: mat2x4<f32>) -> f32 {
    return dot(queries[h * QUADS + run], x[0]) + dot(queries[h * QUADS + RUNS + run], x[1]);
}

// The products of a run of a key with the queries of every head.
fn products(run: u32, x: mat2x4<f32>) -> vec4<f32> {
    var s = vec4<f32>(0.0);
    s.x = product(run, 0u, x);
#if two
    s.y = product(run, 1u, x);
#endif
#if four
    s.z = product(run, 2u, x);
    s.w = product(run, 3u, x);
#endif
    return s;
}

// Adds up the streams of one head and stores its record.
fn store_head(lid: u32, stream: u32, run: u32, sum: mat2x4<f32>, best: f32, total: f32, record: u32, exists: bool) {
    workgroupBarrier();
    if (stream < STREAMS) {
        exchange[stream * QUADS + 2u * run] = sum[0];
        exchange[stream * QUADS + 2u * run + 1u] = sum[1];
    }
    workgroupBarrier();
    if (!exists) { return; }
    let at = record * (QUADS + 1u);
    if (lid == 0u) { parts[at] = vec4<f32>(best, total, 0.0, 0.0); }
    if (lid < QUADS) {
        var x = exchange[lid];
        for (var i = 1u; i < STREAMS; i++) { x += exchange[i * QUADS + lid]; }
        parts[at + 1u + lid] = x;
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) lid: u32,
#if subgroups
    @builtin(subgroup_id) sg: u32, @builtin(subgroup_size) sg_size: u32, @builtin(subgroup_invocation_id) lane: u32,
#endif
) {
#if subgroups
    let team = sg * (sg_size / TEAM) + lane / TEAM;
    let member = lane % TEAM;
#else
    let team = lid / TEAM;
    let member = lid % TEAM;
#endif
    let token = wg.z;
    let span = span_of(token, state[POSITION], state[TOKENS], params.window, params.splits);
    let begin = wg.x * span.share;
    if (begin >= span.count) { return; }
    let count = min(span.share, span.count - begin);
    let kv_head = wg.y / params.groups;
    let head = kv_head * params.shared_by + (wg.y % params.groups) * SHARE;
    let last = (kv_head + 1u) * params.shared_by;
#repeat i QUERY_LOADS
    let q{i} = query(lid + {i}u * WG, token, head, last);
#end

    let stream = lid / RUNS;
    let run = lid % RUNS;
    var best = vec4<f32>(LOWEST);
    var total = vec4<f32>(0.0);
    var sum0 = mat2x4<f32>();
#if two
    var sum1 = mat2x4<f32>();
#endif
#if four
    var sum2 = mat2x4<f32>();
    var sum3 = mat2x4<f32>();
#endif
    for (var base = 0u; base < count; base += KEYS) {
        let keys = min(KEYS, count - base);
        let slot = (span.start + begin + base) % params.slots;
        let key = slot_at(slot, min(team, keys - 1u)) + kv_head * RUNS;
        let values = kv_head * RUNS + run;
#repeat i KEY_LOADS
        let k{i} = key_run(key + min(member + {i}u * TEAM, RUNS - 1u));
#end
#repeat i VALUE_LOADS
        let v{i} = value_run(slot_at(slot, min(stream + {i}u * STREAMS, keys - 1u)) + values);
#end
        if (base == 0u) {
#repeat i QUERY_LOADS
            keep_query(lid + {i}u * WG, q{i});
#end
            workgroupBarrier();
        }
        var s0 = vec4<f32>(0.0);
#repeat i KEY_LOADS
        if (member + {i}u * TEAM < RUNS) { s0 += products(member + {i}u * TEAM, k{i}); }
#end
#if subgroups
        s0 += subgroupShuffleXor(s0, 1u);
        s0 += subgroupShuffleXor(s0, 2u);
#if eight_lanes
        s0 += subgroupShuffleXor(s0, 4u);
#endif
        if (member == 0u) { scores[team] = select(vec4<f32>(LOWEST), s0, team < keys); }
#else
        exchange[lid] = s0;
        workgroupBarrier();
        if (lid < KEYS) {
            var s = vec4<f32>(0.0);
            for (var i = 0u; i < TEAM; i++) { s += exchange[lid * TEAM + i]; }
            scores[lid] = select(vec4<f32>(LOWEST), s, lid < keys);
        }
#endif
        workgroupBarrier();
        let before = best;
#if subgroups
        var mine = vec4<f32>(LOWEST);
        for (var i = lane; i < KEYS; i += sg_size) { mine = max(mine, scores[i]); }
        best = max(best, subgroupMax(mine));
#else
        for (var i = 0u; i < keys; i++) { best = max(best, scores[i]); }
#endif
        if (lid < SLOTS) { weights[lid] = select(vec4<f32>(), safe_exp4(scores[lid] - best), lid < KEYS); }
        workgroupBarrier();
        let fade = safe_exp4(before - best);
        total *= fade;
        sum0 *= fade.x;
#if two
        sum1 *= fade.y;
#endif
#if four
        sum2 *= fade.z;
        sum3 *= fade.w;
#endif
        if (stream < STREAMS) {
#repeat i VALUE_LOADS
            let p{i} = weights[stream + {i}u * STREAMS];
            total += p{i};
            sum0 += v{i} * p{i}.x;
#if two
            sum1 += v{i} * p{i}.y;
#endif
#if four
            sum2 += v{i} * p{i}.z;
            sum3 += v{i} * p{i}.w;
#endif
#end
        }
    }
    workgroupBarrier();
    if (run == 0u && stream < STREAMS) { scores[stream] = total; }
    workgroupBarrier();
    total = scores[0];
    for (var i = 1u; i < STREAMS; i++) { total += scores[i]; }
    let record = (token * params.heads + head) * params.splits + wg.x;
    store_head(lid, stream, run, sum0, best.x, total.x, record, true);
#if two
    store_head(lid, stream, run, sum1, best.y, total.y, record + params.splits, head + 1u < last);
#endif
#if four
    store_head(lid, stream, run, sum2, best.z, total.z, record + 2u * params.splits, head + 2u < last);
    store_head(lid, stream, run, sum3, best.w, total.w, record + 3u * params.splits, head + 3u < last);
#endif
}
