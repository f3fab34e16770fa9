// As `back`, for one row in a workgroup: a tile of WG columns at a time, an invocation a weight, then an invocation up to two quads
// of the sum.
#import math
#import seen
#param each: u32

@group(0) @binding(_) var<storage, read_write> out: array<vec4<f32>>;

var<workgroup> weights: array<f32, WG>;

// P, or dS, of a query and a key that it sees.
fn weight_of(row: u32, j: u32, head: u32) -> f32 {
    var s = 0.0;
    for (var i = 0u; i < QUADS; i++) { s += dot(query(row, head, i), key(j, head, i)); }
    let p = safe_exp(s - sum_of(row, head));
#if values
    var d = 0.0;
    for (var i = 0u; i < QUADS; i++) { d += dot(arriving(row, head, i), value(j, head, i)); }
    return p * (d - delta_of(row, head));
#else
    return p;
#endif
}

// What the weight of a column multiplies.
fn added(column: u32, head: u32, i: u32) -> vec4<f32> {
#if by_key
#if values
    return query(column, head, i);
#else
    return arriving(column, head, i);
#endif
#else
    return key(column, head, i);
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let row = wg.y;
#if by_key
    let start = row;
    // Behind the last query that sees this key.
    var limit = params.rows;
    if (params.window != 0u) { limit = min(limit, row + params.window); }
    var end = start;
    for (var t = start; t < limit; t++) { end = select(end, t + 1u, first_key(t) <= row); }
#else
    let start = first_key(row);
    let end = row + 1u;
#endif
    var near = vec4<f32>(0.0);
    var far = vec4<f32>(0.0);
    for (var n = 0u; n < params.each; n++) {
        let head = wg.x * params.each + n;
        for (var base = start; base < end; base += WG) {
            let count = min(WG, end - base);
            var mine = 0.0;
#if by_key
            if (lid < count && first_key(base + lid) <= row) { mine = weight_of(base + lid, row, head); }
#else
            if (lid < count) { mine = weight_of(row, base + lid, head); }
#endif
            workgroupBarrier();
            weights[lid] = mine;
            workgroupBarrier();
            for (var i = 0u; i < count; i++) {
                if (lid < QUADS) { near += weights[i] * added(base + i, head, lid); }
                if (lid + WG < QUADS) { far += weights[i] * added(base + i, head, lid + WG); }
            }
        }
    }
    let to = (row * groups.x + wg.x) * QUADS + lid;
    if (lid < QUADS) { out[to] = near; }
    if (lid + WG < QUADS) { out[to + WG] = far; }
}
