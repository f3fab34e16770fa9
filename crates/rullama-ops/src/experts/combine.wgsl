// y = sum over the token's slots of weight * x[slot], in the order of selection; a quad an invocation.
struct Params { count: u32, dim: u32, used: u32, stride: u32, offset: u32, weights_stride: u32, weights_offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> weights: array<f32>;
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let i = (wg.y * groups.x + wg.x) * WG + lid;
    if (i >= params.count) { return; }
    let token = i / params.dim;
    let first = params.offset + token * params.used * params.stride + i % params.dim;
    var sum = vec4<f32>();
    for (var k = 0u; k < params.used; k++) {
        sum += weights[params.weights_offset + token * params.weights_stride + k] * x[first + k * params.stride];
    }
    y[i] = sum;
}
