// Sums and maxima over a whole workgroup of WG invocations (const WG, a power of two).
// With subgroups: of any size, one value a subgroup goes through workgroup memory.
// Every invocation must call, and gets the result.

// Which invocation this is: a parameter of the entry point.
struct Lane {
    @builtin(local_invocation_index) id: u32,
#if subgroups
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(subgroup_size) size: u32,
    @builtin(subgroup_invocation_id) index: u32,
#endif
}

// Its number in the workgroup, neighbours standing in one subgroup.
#if subgroups
fn number_of(lane: Lane) -> u32 { return lane.subgroup * lane.size + lane.index; }
#else
fn number_of(lane: Lane) -> u32 { return lane.id; }
#endif

var<workgroup> reduce_scratch: array<f32, WG>;

#if subgroups
// In workgroups up to this each invocation reads the subgroups' values one after the other; in larger ones, where each read is waited
// for, the lanes of a subgroup read them side by side and add them up.
const FEW = 256u;

fn reduce_add(value: f32, lane: Lane) -> f32 {
    let part = subgroupAdd(value);
    workgroupBarrier();
    if (lane.index == 0u) { reduce_scratch[lane.subgroup] = part; }
    workgroupBarrier();
    var sum = 0.0;
    if (WG <= FEW) {
        for (var i = 0u; i < lane.subgroups; i++) { sum += reduce_scratch[i]; }
        return sum;
    }
    for (var i = lane.index; i < lane.subgroups; i += lane.size) { sum += reduce_scratch[i]; }
    return subgroupAdd(sum);
}

fn reduce_max(value: f32, lane: Lane) -> f32 {
    let part = subgroupMax(value);
    workgroupBarrier();
    if (lane.index == 0u) { reduce_scratch[lane.subgroup] = part; }
    workgroupBarrier();
    var best = reduce_scratch[0];
    if (WG <= FEW) {
        for (var i = 1u; i < lane.subgroups; i++) { best = max(best, reduce_scratch[i]); }
        return best;
    }
    for (var i = lane.index; i < lane.subgroups; i += lane.size) { best = max(best, reduce_scratch[i]); }
    return subgroupMax(best);
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
