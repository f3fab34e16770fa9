// One share of the keys for up to four query heads that use the same keys: the running
// maximum, the sum of the weights and the weighted sum of the values go to `parts`, for
// `combine`. The share is read once for all of the heads:
// 1. scores: a team of TEAM invocations takes two keys, each member every TEAM-th run of eight
//    values; q stands in workgroup memory.
// 2. weights: an invocation a key.
// 3. values: an invocation a run of eight output values, for every STREAMS-th key.
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
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> state: array<u32>;
// A record a head, token and share: (maximum, sum, 0, 0), then QUADS quads.
@group(0) @binding(5) var<storage, read_write> parts: array<vec4<f32>>;

const TEAMS = WG / TEAM;
const KEYS = 2u * TEAMS;
const RUNS = QUADS / 2u;
const STREAMS = WG / RUNS;

// The queries, per head the first quads of all runs, then the second ones.
var<workgroup> queries: array<vec4<f32>, SHARE * QUADS>;
// A component a head.
var<workgroup> scores: array<vec4<f32>, KEYS>;
var<workgroup> weights: array<vec4<f32>, KEYS>;
var<workgroup> exchange: array<vec4<f32>, 2u * WG>;

fn slot_runs() -> u32 { return params.width; }

// Where the i-th key from the slot `first` begins; i is at most the number of slots.
fn slot_at(first: u32, i: u32) -> u32 {
    let slot = first + i;
    return select(slot, slot - params.slots, slot >= params.slots) * params.width;
}

fn load_queries(lid: u32, token: u32, head: u32, last: u32) {
    for (var i = lid; i < SHARE * QUADS; i += WG) {
        let h = i / QUADS;
        let quad = i % QUADS;
        var x = vec4<f32>(0.0);
        if (head + h < last) { x = q[params.q_offset + token * params.q_stride + (head + h) * QUADS + quad]; }
        queries[h * QUADS + (quad & 1u) * RUNS + quad / 2u] = x;
    }
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
    load_queries(lid, token, head, last);
    workgroupBarrier();

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
        let both = keys > TEAMS;
        let at0 = slot_at(slot, min(team, keys - 1u)) + kv_head * RUNS;
        let at1 = slot_at(slot, min(team + TEAMS, keys - 1u)) + kv_head * RUNS;
        var s0 = vec4<f32>(0.0);
        var s1 = vec4<f32>(0.0);
#if whole_runs
        // Loads of a step are under way together.
        for (var i = member; i < RUNS; i += 4u * TEAM) {
            let x0 = key_run(at0 + i);
            let x1 = key_run(at0 + i + TEAM);
            let x2 = key_run(at0 + i + 2u * TEAM);
            let x3 = key_run(at0 + i + 3u * TEAM);
            if (both) {
                let z0 = key_run(at1 + i);
                let z1 = key_run(at1 + i + TEAM);
                let z2 = key_run(at1 + i + 2u * TEAM);
                let z3 = key_run(at1 + i + 3u * TEAM);
                s1 += products(i, z0) + products(i + TEAM, z1) + products(i + 2u * TEAM, z2) + products(i + 3u * TEAM, z3);
            }
            s0 += products(i, x0) + products(i + TEAM, x1) + products(i + 2u * TEAM, x2) + products(i + 3u * TEAM, x3);
        }
#else
        for (var i = member; i < RUNS; i += TEAM) {
            s0 += products(i, key_run(at0 + i));
            if (both) { s1 += products(i, key_run(at1 + i)); }
        }
#endif
#if subgroups
        s0 += subgroupShuffleXor(s0, 1u);
        s1 += subgroupShuffleXor(s1, 1u);
        s0 += subgroupShuffleXor(s0, 2u);
        s1 += subgroupShuffleXor(s1, 2u);
#if eight_lanes
        s0 += subgroupShuffleXor(s0, 4u);
        s1 += subgroupShuffleXor(s1, 4u);
#endif
        if (member == 0u) {
            scores[team] = select(vec4<f32>(LOWEST), s0, team < keys);
            scores[team + TEAMS] = select(vec4<f32>(LOWEST), s1, team + TEAMS < keys);
        }
#else
        exchange[lid] = s0;
        exchange[WG + lid] = s1;
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
        if (lid < KEYS) { weights[lid] = safe_exp4(scores[lid] - best); }
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
            let values = kv_head * RUNS + run;
#if whole_streams
            // Weights beyond the last key are 0.
            for (var i = stream; i < keys; i += 4u * STREAMS) {
                let x0 = value_run(slot_at(slot, i) + values);
                let x1 = value_run(slot_at(slot, min(i + STREAMS, keys - 1u)) + values);
                let x2 = value_run(slot_at(slot, min(i + 2u * STREAMS, keys - 1u)) + values);
                let x3 = value_run(slot_at(slot, min(i + 3u * STREAMS, keys - 1u)) + values);
                let p0 = weights[i];
                let p1 = weights[i + STREAMS];
                let p2 = weights[i + 2u * STREAMS];
                let p3 = weights[i + 3u * STREAMS];
                total += p0 + p1 + p2 + p3;
                sum0 += x0 * p0.x + x1 * p1.x + x2 * p2.x + x3 * p3.x;
#if two
                sum1 += x0 * p0.y + x1 * p1.y + x2 * p2.y + x3 * p3.y;
#endif
#if four
                sum2 += x0 * p0.z + x1 * p1.z + x2 * p2.z + x3 * p3.z;
                sum3 += x0 * p0.w + x1 * p1.w + x2 * p2.w + x3 * p3.w;
#endif
            }
#else
            for (var i = stream; i < keys; i += STREAMS) {
                let p = weights[i];
                let x = value_run(slot_at(slot, i) + values);
                total += p;
                sum0 += x * p.x;
#if two
                sum1 += x * p.y;
#endif
#if four
                sum2 += x * p.z;
                sum3 += x * p.w;
#endif
            }
#endif
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
