// y = [acc +] the sums over all shares of the rows, one after the other.
struct Params {
    quads: u32,
    tokens: u32,
    shares: u32,
#if acc
    acc_offset: u32,
    acc_stride: u32,
#endif
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> parts: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;
#if acc
@group(0) @binding(_) var<storage, read> acc: array<vec4<f32>>;
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) wgs: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let at = (wg.y * wgs.x + wg.x) * WG + lid;
    let count = params.tokens * params.quads;
    if (at >= count) { return; }
    var sum = vec4<f32>();
    for (var share = 0u; share < params.shares; share++) {
        sum += parts[share * count + at];
    }
#if acc
    y[at] = acc[params.acc_offset + at / params.quads * params.acc_stride + at % params.quads] + sum;
#else
#if in_place
    y[at] += sum;
#else
    y[at] = sum;
#endif
#endif
}
