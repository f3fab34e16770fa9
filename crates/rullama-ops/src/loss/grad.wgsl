// dz = weight (softmax(z') - [the target]) (1 - (z' / cap)^2): one logit an invocation. z' = softcap(z).
#import math

struct Params {
    rows: u32,
    tile: u32,
    first: u32,
    cap: f32,
    z_offset: u32,
    z_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
#if !in_place
@group(0) @binding(_) var<storage, read> z: array<f32>;
#endif
@group(0) @binding(_) var<storage, read> targets: array<u32>;
@group(0) @binding(_) var<storage, read> stats: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> dz: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) wgs: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let i = wg.x * WG + lid;
    let row = wg.z * wgs.y + wg.y;
    if (i >= params.tile || row >= params.rows) { return; }
    let at = row * params.tile + i;
    let weight = bitcast<f32>(targets[params.rows + row]);
    // Whatever its logits are, a row without a target changes nothing.
    if (weight == 0.0) {
        dz[at] = 0.0;
        return;
    }
#if in_place
    let raw = dz[at];
#else
    let raw = z[params.z_offset + row * params.z_stride + i];
#endif
#if cap
    let t = softcap(raw / params.cap, 1.0);
    let value = params.cap * t;
    let slope = (1.0 - t) * (1.0 + t);
#else
    let value = raw;
    let slope = 1.0;
#endif
    let known = stats[row];
    let p = safe_exp(value - known.x) / known.y;
    let hit = targets[row] - params.first == i;
    dz[at] = weight * (p - select(0.0, 1.0, hit)) * slope;
}
