// Workgroup 0 sorts the candidates, applies top-p, min-p and temperature and draws. Workgroup 1
// sorts those by unmodified logits and reports the best.
#import settings
#import digit
#import commit
#import math
#import philox

struct Params { vocab: u32, offset: u32, keys: u32, candidates: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<u32>;
@group(0) @binding(2) var<storage, read> settings: Settings;
@group(0) @binding(3) var<storage, read> head: array<u32>;
@group(0) @binding(4) var<storage, read> work: array<u32>;
@group(0) @binding(5) var<storage, read_write> history: array<u32>;
@group(0) @binding(6) var<storage, read_write> state: array<u32>;
@group(0) @binding(7) var<storage, read_write> step_id: array<u32>;
@group(0) @binding(8) var<storage, read_write> results: array<u32>;

// (key, id), best first once sorted.
var<workgroup> sorted: array<vec2<u32>, ROOM>;
var<workgroup> next_slot: atomic<u32>;
var<workgroup> sums: array<f32, WG + 1>;
var<workgroup> cut: atomic<u32>;
var<workgroup> chosen: atomic<u32>;

fn candidate(list: u32, i: u32) -> vec2<u32> {
    let id = work[params.candidates + list * params.vocab + i];
    if (list == 0u) { return vec2<u32>(work[params.keys + id], id); }
    return vec2<u32>(key_of(logits[params.offset + id]), id);
}

fn before(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.x > b.x || (a.x == b.x && a.y < b.y);
}

// More candidates than can be sorted here (ties, or large logits side by side): radix
// selection by key, then by lower id, until exactly `want` are left.
fn select_best(list: u32, count: u32, want: u32, lid: u32) {
    var prefix = vec2<u32>(0u);
    var mask = vec2<u32>(0u);
    var left = want;
    for (var step = 0u; step < 8u; step++) {
        let shift = 24u - 8u * (step & 3u);
        let by_key = step < 4u;
        clear_histogram(lid);
        for (var i = lid; i < count; i += WG) {
            let c = candidate(list, i);
            let entry = vec2<u32>(c.x, ~c.y);
            if (all((entry & mask) == prefix)) { atomicAdd(&histogram[(select(entry.y, entry.x, by_key) >> shift) & 255u], 1u); }
        }
        let digit = pick_digit(left, lid);
        left -= digit.above;
        let unit = select(vec2<u32>(0u, 1u), vec2<u32>(1u, 0u), by_key);
        prefix |= unit * (digit.value << shift);
        mask |= unit * (255u << shift);
        if (left == digit.equal) { break; }
    }
    if (lid == 0u) { atomicStore(&next_slot, 0u); }
    workgroupBarrier();
    for (var i = lid; i < count; i += WG) {
        let c = candidate(list, i);
        let entry = vec2<u32>(c.x, ~c.y) & mask;
        if (entry.x > prefix.x || (entry.x == prefix.x && entry.y >= prefix.y)) { sorted[atomicAdd(&next_slot, 1u)] = c; }
    }
}

// Leaves the best `want` (or all, if fewer) in `sorted`; returns how many.
fn sort_best(list: u32, want: u32, lid: u32) -> u32 {
    let count = min(head[2u + list], params.vocab);
    var filled = count;
    if (count > ROOM) {
        filled = min(want, count);
        select_best(list, count, filled, lid);
    } else {
        for (var i = lid; i < count; i += WG) { sorted[i] = candidate(list, i); }
    }
    var size = 2u;
    while (size < filled) { size *= 2u; }
    for (var i = filled + lid; i < size; i += WG) { sorted[i] = vec2<u32>(0u, 0xffffffffu); }
    // Bitonic sort.
    for (var run = 2u; run <= size; run *= 2u) {
        for (var span = run / 2u; span > 0u; span /= 2u) {
            workgroupBarrier();
            for (var i = lid; i < size / 2u; i += WG) {
                let low = (i / span) * 2u * span + i % span;
                let a = sorted[low];
                let b = sorted[low + span];
                if (before(b, a) == ((low & run) == 0u)) {
                    sorted[low] = b;
                    sorted[low + span] = a;
                }
            }
        }
    }
    workgroupBarrier();
    return min(want, filled);
}

// Sums of `weights` from the first candidate to each of this invocation's four; the whole sum
// stays in sums[WG]. One invocation adds up the others' sums: one order on every adapter, and
// the results never decrease.
fn running_sums(weights: vec4<f32>, count: u32, lid: u32) -> vec4<f32> {
    let y = weights.x + weights.y;
    let z = y + weights.z;
    let w = z + weights.w;
    workgroupBarrier();
    sums[lid] = w;
    workgroupBarrier();
    if (lid == 0u) {
        var sum = 0.0;
        for (var i = 0u; i < (count + 3u) / 4u; i++) {
            let own = sums[i];
            sums[i] = sum;
            sum += own;
        }
        sums[WG] = sum;
    }
    workgroupBarrier();
    return sums[lid] + vec4<f32>(weights.x, y, z, w);
}

fn power(i: u32, end: u32, temperature: f32) -> f32 {
    if (i >= end) { return 0.0; }
    let value = bitcast<f32>(bits_of(sorted[i].x));
    return safe_exp((value - bitcast<f32>(bits_of(sorted[0].x))) / temperature);
}

fn powers(first: u32, end: u32, temperature: f32) -> vec4<f32> {
    return vec4<f32>(power(first, end, temperature), power(first + 1u, end, temperature), power(first + 2u, end, temperature), power(first + 3u, end, temperature));
}

// Uniform in [0, 1) for the token at `position`.
fn uniform_number(position: u32) -> f32 {
    return f32(philox(vec2<u32>(position, settings.seed_high), settings.seed_low).x >> 8u) / 16777216.0;
}

// Index of the drawn one among `count` sorted candidates.
fn draw(count: u32, lid: u32) -> u32 {
    if (lid == 0u) {
        atomicStore(&cut, count);
        atomicStore(&chosen, count - 1u);
    }
    let first = 4u * lid;
    let plain = powers(first, count, 1.0);
    let reached = running_sums(plain, count, lid);
    let bound = settings.top_p * sums[WG];
    for (var j = 0u; j < 4u; j++) {
        if (first + j < count) {
            if (settings.top_p < 1.0 && reached[j] >= bound) { atomicMin(&cut, first + j + 1u); }
            if (plain[j] < settings.min_p) { atomicMin(&cut, max(first + j, 1u)); }
        }
    }
    workgroupBarrier();
    let end = atomicLoad(&cut);
    let drawn = running_sums(powers(first, end, settings.temperature), count, lid);
    let total = sums[WG];
    let target_sum = uniform_number(head[6] + 1u) * total;
    for (var j = 0u; j < 4u; j++) {
        // The product may round up to the total itself.
        if (first + j < end && (drawn[j] > target_sum || drawn[j] >= total)) { atomicMin(&chosen, first + j); }
    }
    workgroupBarrier();
    return atomicLoad(&chosen);
}

fn report_best(lid: u32) {
    let record = (head[7] % RESULTS) * RESULT_WORDS;
    let asked = settings.logprobs > 1u && head[4] == 0u && head[2] != 0u;
    var count = 0u;
    if (asked) { count = sort_best(1u, min(settings.logprobs - 1u, MAX_TOPS), lid); }
    if (lid == 0u) { results[record + 3u] = count; }
    if (lid < count) {
        let id = sorted[lid].y;
        results[record + 4u + 2u * lid] = id;
        results[record + 5u + 2u * lid] = logprob_bits(logits[params.offset + id], bitcast<f32>(head[5]));
    }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    if (wg.x == 1u) {
        report_best(lid);
        return;
    }
    if (head[4] != 0u) {
        if (lid == 0u) { commit(0u, head[4], 0u); }
        return;
    }
    if (head[2] == 0u) {
        if (lid == 0u) { commit(0u, NONE_ALLOWED, 0u); }
        return;
    }
    var at = 0u;
    if (settings.greedy != 0u || settings.temperature <= 0.0) {
        sort_best(0u, 1u, lid);
    } else {
        let count = sort_best(0u, clamp(settings.top_k, 1u, MAX_TOP_K), lid);
        at = draw(count, lid);
    }
    if (lid == 0u) {
        let id = sorted[at].y;
        var logprob = 0u;
        if (settings.logprobs != 0u) { logprob = logprob_bits(logits[params.offset + id], bitcast<f32>(head[5])); }
        commit(id, 0u, logprob);
    }
}
