// Workgroups 0 and 1: a key that at least k maxima of chunks reach, of modified (k = top_k) and
// unmodified logits (k = best tokens asked for): the k-th largest with its low 8 bits cleared.
// Workgroup 2: the logarithm of the sum of exponentials, NaN, and copies of the step state,
// which the last dispatch changes while it still reads them.
#import settings
#import digit
#import reduce
#import math

struct Params { groups: u32, maxima: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> settings: Settings;
@group(0) @binding(2) var<storage, read> state: array<u32>;
// Thresholds (2), counts of candidates (2), flags, logarithm of the sum, position, counter.
@group(0) @binding(3) var<storage, read_write> head: array<u32>;
@group(0) @binding(4) var<storage, read_write> work: array<u32>;

var<workgroup> bad: atomic<u32>;

fn threshold(list: u32, want: u32, lid: u32) {
    let count = params.groups * CHUNKS;
    let start = params.maxima + list * count;
    var prefix = 0u;
    if (want <= count) {
        var left = want;
        for (var shift = 24u; shift > 0u; shift -= 8u) {
            clear_histogram(lid);
            for (var i = lid; i < count; i += WG) {
                let key = work[start + i];
                // The bits above the digit; a shift by 32 is undefined.
                if (((key ^ prefix) >> shift) >> 8u == 0u) { atomicAdd(&histogram[(key >> shift) & 255u], 1u); }
            }
            let digit = pick_digit(left, lid);
            left -= digit.above;
            prefix |= digit.value << shift;
        }
    }
    if (lid == 0u) {
        head[list] = prefix;
        head[2u + list] = 0u;
    }
}

fn merge(lane: Lane) {
    let lid = lane.id;
    if (lid == 0u) { atomicStore(&bad, 0u); }
    workgroupBarrier();
    var largest = -LARGEST;
    for (var i = lid; i < params.groups; i += WG) {
        if (work[i * PARTIAL] != 0u) { atomicStore(&bad, NOT_FINITE); }
        largest = max(largest, bitcast<f32>(work[i * PARTIAL + 1u]));
    }
    var sum = 1.0;
    if (settings.logprobs != 0u) {
        largest = reduce_max(largest, lane);
        sum = 0.0;
        for (var i = lid; i < params.groups; i += WG) {
            sum += bitcast<f32>(work[i * PARTIAL + 2u]) * safe_exp(bitcast<f32>(work[i * PARTIAL + 1u]) - largest);
        }
        sum = reduce_add(sum, lane);
    }
    workgroupBarrier();
    if (lid == 0u) {
        head[4] = atomicLoad(&bad);
        head[5] = bitcast<u32>(largest + log(sum));
        head[6] = state[POSITION];
        head[7] = state[SAMPLED];
    }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, lane: Lane) {
    let lid = lane.id;
    if (wg.x == 0u) {
        var want = clamp(settings.top_k, 1u, MAX_TOP_K);
        if (settings.greedy != 0u || settings.temperature <= 0.0) { want = 1u; }
        threshold(0u, want, lid);
    } else if (wg.x == 1u) {
        if (settings.logprobs > 1u) { threshold(1u, min(settings.logprobs - 1u, MAX_TOPS), lid); }
    } else {
        merge(lane);
    }
}
