// y = x / sqrt(mean(x^2) + eps) * weight: a workgroup a row, four values at a time.
#import reduce

struct Params { rows: u32, dim: u32, stride: u32, offset: u32, eps: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, lane: Lane) {
    let lid = lane.id;
    let row = wg.y * groups.x + wg.x;
    if (row >= params.rows) { return; }
    let start = params.offset + row * params.stride;
    var sum = 0.0;
    for (var i = lid; i < params.dim; i += WG) {
        let v = x[start + i];
        sum += dot(v, v);
    }
    sum = reduce_add(sum, lane);
    let scale = inverseSqrt(sum / f32(4u * params.dim) + params.eps);
    for (var i = lid; i < params.dim; i += WG) {
        y[row * params.dim + i] = x[start + i] * scale * weight[i];
    }
}
