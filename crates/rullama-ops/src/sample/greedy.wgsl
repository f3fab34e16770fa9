// Merges the partial results of all workgroups and commits the best id.
#import settings
#import commit
#import reduce
#import math

struct Params { groups: u32, offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<u32>;
@group(0) @binding(2) var<storage, read> settings: Settings;
@group(0) @binding(3) var<storage, read> work: array<u32>;
@group(0) @binding(4) var<storage, read_write> history: array<u32>;
@group(0) @binding(5) var<storage, read_write> state: array<u32>;
@group(0) @binding(6) var<storage, read_write> step_id: array<u32>;
@group(0) @binding(7) var<storage, read_write> results: array<u32>;

var<workgroup> bad: atomic<u32>;
var<workgroup> best_key: atomic<u32>;
var<workgroup> best_id: atomic<u32>;

@compute @workgroup_size(WG)
fn main(lane: Lane) {
    let lid = lane.id;
    if (lid == 0u) {
        atomicStore(&bad, 0u);
        atomicStore(&best_key, 0u);
        atomicStore(&best_id, 0xffffffffu);
    }
    workgroupBarrier();
    var top = 0u;
    var top_id = 0xffffffffu;
    var largest = -LARGEST;
    for (var i = lid; i < params.groups; i += WG) {
        let slot = i * PARTIAL;
        if (work[slot] != 0u) { atomicStore(&bad, 1u); }
        largest = max(largest, bitcast<f32>(work[slot + 1u]));
        if (work[slot + 3u] > top) { top = work[slot + 3u]; top_id = work[slot + 4u]; }
    }
    atomicMax(&best_key, top);
    workgroupBarrier();
    if (top == atomicLoad(&best_key)) { atomicMin(&best_id, top_id); }
    var log_sum = 0.0;
    if (settings.logprobs != 0u) {
        largest = reduce_max(largest, lane);
        var sum = 0.0;
        for (var i = lid; i < params.groups; i += WG) {
            sum += bitcast<f32>(work[i * PARTIAL + 2u]) * safe_exp(bitcast<f32>(work[i * PARTIAL + 1u]) - largest);
        }
        log_sum = largest + log(reduce_add(sum, lane));
    }
    workgroupBarrier();
    if (lid == 0u) {
        results[(state[SAMPLED] % RESULTS) * RESULT_WORDS + 3u] = 0u;
        if (atomicLoad(&bad) != 0u) {
            commit(0u, NOT_FINITE, 0u);
        } else if (atomicLoad(&best_key) == 0u) {
            commit(0u, NONE_ALLOWED, 0u);
        } else {
            let id = atomicLoad(&best_id);
            var logprob = 0u;
            if (settings.logprobs != 0u) { logprob = logprob_bits(logits[params.offset + id], log_sum); }
            commit(id, 0u, logprob);
        }
    }
}
