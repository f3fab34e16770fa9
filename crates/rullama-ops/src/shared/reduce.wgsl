// Sums and maxima over a whole workgroup of WG invocations (const WG, a power of two).
// With subgroups: of any size, one value a subgroup goes through workgroup memory.
// Every invocation must call, and gets the result.

var<workgroup> reduce_scratch: array<f32, WG>;

#if subgroups
fn reduce_add(value: f32, lid: u32, sg: u32, sg_count: u32, lane: u32) -> f32 {
    let part = subgroupAdd(value);
    workgroupBarrier();
    if (lane == 0u) { reduce_scratch[sg] = part; }
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < sg_count; i++) { sum += reduce_scratch[i]; }
    return sum;
}

fn reduce_max(value: f32, lid: u32, sg: u32, sg_count: u32, lane: u32) -> f32 {
    let part = subgroupMax(value);
    workgroupBarrier();
    if (lane == 0u) { reduce_scratch[sg] = part; }
    workgroupBarrier();
    var best = reduce_scratch[0];
    for (var i = 1u; i < sg_count; i++) { best = max(best, reduce_scratch[i]); }
    return best;
}
#else
fn reduce_add(value: f32, lid: u32, sg: u32, sg_count: u32, lane: u32) -> f32 {
    workgroupBarrier();
    reduce_scratch[lid] = value;
    workgroupBarrier();
    for (var span = WG / 2u; span > 0u; span /= 2u) {
        if (lid < span) { reduce_scratch[lid] += reduce_scratch[lid + span]; }
        workgroupBarrier();
    }
    return reduce_scratch[0];
}

fn reduce_max(value: f32, lid: u32, sg: u32, sg_count: u32, lane: u32) -> f32 {
    workgroupBarrier();
    reduce_scratch[lid] = value;
    workgroupBarrier();
    for (var span = WG / 2u; span > 0u; span /= 2u) {
        if (lid < span) { reduce_scratch[lid] = max(reduce_scratch[lid], reduce_scratch[lid + span]); }
        workgroupBarrier();
    }
    return reduce_scratch[0];
}
#endif
