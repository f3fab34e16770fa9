// y[t, c] = sum over taps j of w[j, c] x[t - TAPS + 1 + j, c]: a quad of channels an invocation.
struct Params { count: u32, dim: u32, stride: u32, offset: u32, w_stride: u32, w_offset: u32, taps: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let i = (wg.y * groups.x + wg.x) * WG + lid;
    if (i >= params.count) { return; }
    let t = i / params.dim;
    let column = i % params.dim;
    var sum = vec4<f32>(0.0);
    // What stands before the first row is zero.
    let missing = params.taps - min(params.taps, t + 1u);
    for (var j = missing; j < params.taps; j++) {
        let row = t + j + 1u - params.taps;
        sum += w[params.w_offset + j * params.w_stride + column] * x[params.offset + row * params.stride + column];
    }
    y[i] = sum;
}
