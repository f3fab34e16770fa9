// A workgroup modifies SPAN logits by bias and penalties and leaves, in PARTIAL words:
// whether one is not finite; max and sum(exp(x - max)) of the unmodified ones; the best modified
// one and its id. For top-k also every modified key, and the maxima of CHUNKS chunks. What the mask
// does not allow has key 0.
#import settings
#import reduce
#import math

struct Params { vocab: u32, offset: u32, maxima: u32, keys: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<u32>;
@group(0) @binding(2) var<storage, read> settings: Settings;
@group(0) @binding(3) var<storage, read> bias: array<u32>;
@group(0) @binding(4) var<storage, read> history: array<u32>;
@group(0) @binding(5) var<storage, read> state: array<u32>;
@group(0) @binding(6) var<storage, read> mask: array<u32>;
@group(0) @binding(7) var<storage, read_write> work: array<u32>;

// Of the WG logits at hand: bias, and occurrences in the history.
var<workgroup> added: array<u32, WG>;
var<workgroup> counts: array<atomic<u32>, WG>;
var<workgroup> bad: atomic<u32>;
#if greedy
var<workgroup> best_key: atomic<u32>;
var<workgroup> best_id: atomic<u32>;
#else
var<workgroup> maxima: array<vec2<u32>, WG>;
#endif

// Each id of the bias and each entry of the history among the WG ids from `base` on.
fn gather_changes(base: u32, biases: u32, seen: u32, lid: u32) {
    workgroupBarrier();
    added[lid] = 0u;
    atomicStore(&counts[lid], 0u);
    workgroupBarrier();
    for (var i = lid; i < biases; i += WG) {
        let at = bias[1u + 2u * i] - base;
        if (at < WG) { added[at] = bias[2u + 2u * i]; }
    }
    let position = state[POSITION];
    for (var back = lid; back < seen; back += WG) {
        let at = history[(position - back) % HISTORY] - base;
        if (at < WG) { atomicAdd(&counts[at], 1u); }
    }
    workgroupBarrier();
}

fn modified(bits: u32, lid: u32) -> u32 {
    // A bias of -inf (+inf) leaves the least (largest) number, whatever the logit is.
    let extra = added[lid];
    if (extra == 0xff800000u) { return 0xff7fffffu; }
    if (extra == 0x7f800000u) { return 0x7f7fffffu; }
    var value = clamp(value_of(bits) + bitcast<f32>(extra), -LARGEST, LARGEST);
    let count = atomicLoad(&counts[lid]);
    if (count > 0u) {
        value = select(value * settings.repeat_penalty, value / settings.repeat_penalty, value > 0.0);
        value -= f32(count) * settings.frequency_penalty + settings.presence_penalty;
        value = clamp(value, -LARGEST, LARGEST);
    }
    return bitcast<u32>(value);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, lane: Lane) {
    let lid = lane.id;
    let base = wg.x * SPAN;
    let biases = min(bias[0], (arrayLength(&bias) - 1u) / 2u);
    let seen = min(min(settings.repeat_last_n, HISTORY), state[POSITION] + 1u);
    let changed = biases > 0u || (seen > 0u && (settings.repeat_penalty != 1.0 || settings.presence_penalty != 0.0 || settings.frequency_penalty != 0.0));
    if (lid == 0u) {
        atomicStore(&bad, 0u);
#if greedy
        atomicStore(&best_key, 0u);
        atomicStore(&best_id, 0xffffffffu);
#endif
    }
    workgroupBarrier();

    var top = vec2<u32>(0u);
    var top_id = 0u;
    for (var start = base; start < base + SPAN; start += WG) {
        if (changed) { gather_changes(start, biases, seen, lid); }
        let id = start + lid;
        if (id < params.vocab) {
            let bits = logits[params.offset + id];
            if (not_finite(bits)) { atomicStore(&bad, 1u); }
            var bits_after = bitcast<u32>(value_of(bits));
            if (changed) { bits_after = modified(bits, lid); }
            var key = key_of(bits_after);
            if (settings.masked != 0u && ((mask[id / 32u] >> (id & 31u)) & 1u) == 0u) { key = 0u; }
            if (key > top.x) { top.x = key; top_id = id; }
            top.y = max(top.y, key_of(bits));
#if !greedy
            work[params.keys + id] = key;
#endif
        }
    }
    var largest = -LARGEST;
    var sum = 0.0;
    if (settings.logprobs != 0u) {
        if (top.y != 0u) { largest = value_of(bits_of(top.y)); }
        largest = reduce_max(largest, lane);
        for (var id = base + lid; id < min(base + SPAN, params.vocab); id += WG) {
            sum += safe_exp(value_of(logits[params.offset + id]) - largest);
        }
        sum = reduce_add(sum, lane);
    }
#if greedy
    atomicMax(&best_key, top.x);
    workgroupBarrier();
    if (top.x == atomicLoad(&best_key)) { atomicMin(&best_id, top_id); }
    workgroupBarrier();
#else
    maxima[lid] = top;
    workgroupBarrier();
    if (lid < CHUNKS) {
        var chunk = vec2<u32>(0u);
        for (var i = 0u; i < WG / CHUNKS; i++) { chunk = max(chunk, maxima[lid * (WG / CHUNKS) + i]); }
        let slot = params.maxima + wg.x * CHUNKS + lid;
        work[slot] = chunk.x;
        work[slot + (params.keys - params.maxima) / 2u] = chunk.y;
    }
#endif
    if (lid == 0u) {
        let slot = wg.x * PARTIAL;
        work[slot] = atomicLoad(&bad);
        work[slot + 1u] = bitcast<u32>(largest);
        work[slot + 2u] = bitcast<u32>(sum);
#if greedy
        work[slot + 3u] = atomicLoad(&best_key);
        work[slot + 4u] = atomicLoad(&best_id);
#endif
    }
}
