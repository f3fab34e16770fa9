// Sums and maxima over a whole workgroup of WG invocations (const WG, a power of two).
// With subgroups: of any size, one value a subgroup goes through workgroup memory.
// Every invocation must call, and gets the result.

// Which invocation this is: a parameter of the entry point.
struct Lane {
    @builtin(local_invocation_index) id: u32,
#if subgroups
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(subgroup_invocation_id) index: u32,
#endif
}

var<workgroup> reduce_scratch: array<f32, WG>;

#if subgroups
fn reduce_add(value: f32, lane: Lane) -> f32 {
    let part = subgroupAdd(value);
    workgroupBarrier();
    if (lane.index == 0u) { reduce_scratch[lane.subgroup] = part; }
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < lane.subgroups; i++) { sum += reduce_scratch[i]; }
    return sum;
}

fn reduce_max(value: f32, lane: Lane) -> f32 {
    let part = subgroupMax(value);
    workgroupBarrier();
    if (lane.index == 0u) { reduce_scratch[lane.subgroup] = part; }
    workgroupBarrier();
    var best = reduce_scratch[0];
    for (var i = 1u; i < lane.subgroups; i++) { best = max(best, reduce_scratch[i]); }
    return best;
}
#else
fn reduce_add(value: f32, lane: Lane) -> f32 {
    workgroupBarrier();
    reduce_scratch[lane.id] = value;
    workgroupBarrier();
    for (var span = WG / 2u; span > 0u; span /= 2u) {
        if (lane.id < span) { reduce_scratch[lane.id] += reduce_scratch[lane.id + span]; }
        workgroupBarrier();
    }
    return reduce_scratch[0];
}

fn reduce_max(value: f32, lane: Lane) -> f32 {
    workgroupBarrier();
    reduce_scratch[lane.id] = value;
    workgroupBarrier();
    for (var span = WG / 2u; span > 0u; span /= 2u) {
        if (lane.id < span) { reduce_scratch[lane.id] = max(reduce_scratch[lane.id], reduce_scratch[lane.id + span]); }
        workgroupBarrier();
    }
    return reduce_scratch[0];
}
#endif
