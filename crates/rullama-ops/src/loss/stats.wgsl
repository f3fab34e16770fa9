// after = (max, sum of exp(z' - max), z' of the target, 0) over the vocabulary so far: a workgroup a row. z' = softcap(z).
#import reduce
#import math

struct Params {
    rows: u32,
    // Logits of a row, and the id of the first.
    tile: u32,
    first: u32,
    cap: f32,
    z_offset: u32,
    z_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> z: array<f32>;
@group(0) @binding(_) var<storage, read> targets: array<u32>;
#if before
@group(0) @binding(_) var<storage, read> before: array<vec4<f32>>;
#endif
@group(0) @binding(_) var<storage, read_write> after: array<vec4<f32>>;

fn capped(at: u32) -> f32 {
#if cap
    return softcap(z[at], params.cap);
#else
    return z[at];
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, lane: Lane) {
    let row = wg.y * groups.x + wg.x;
    if (row >= params.rows) { return; }
    let start = params.z_offset + row * params.z_stride;
    // Finite: logits are.
    var stats = vec4<f32>(-3.4028234e38, 0.0, 0.0, 0.0);
#if before
    stats = before[row];
#endif
#if in_place
    stats = after[row];
#endif
    var most = stats.x;
    for (var i = lane.id; i < params.tile; i += WG) {
        most = max(most, capped(start + i));
    }
    most = reduce_max(most, lane);
    var sum = 0.0;
    for (var i = lane.id; i < params.tile; i += WG) {
        sum += safe_exp(capped(start + i) - most);
    }
    sum = reduce_add(sum, lane);
    if (lane.id == 0u) {
        // Below first the difference wraps to a large number.
        let at = targets[row] - params.first;
        let hit = at < params.tile;
        var wanted = stats.z;
        if (hit) { wanted = capped(start + at); }
        after[row] = vec4<f32>(most, stats.y * safe_exp(stats.x - most) + sum, wanted, 0.0);
    }
}
