// y = (x - mean) / sqrt(variance + eps) * weight + bias: a workgroup a row of `width` quads.
#import reduce

struct Params { rows: u32, width: u32, stride: u32, offset: u32, weight_offset: u32, bias_offset: u32, eps: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, lane: Lane) {
    let lid = lane.id;
    let row = wg.y * groups.x + wg.x;
    if (row >= params.rows) { return; }
    let start = params.offset + row * params.stride;
    let count = f32(4u * params.width);
    var sum = 0.0;
    for (var i = lid; i < params.width; i += WG) { sum += dot(x[start + i], vec4<f32>(1.0)); }
    let mean = vec4<f32>(reduce_add(sum, lane) / count);
    var squares = 0.0;
    for (var i = lid; i < params.width; i += WG) {
        let v = x[start + i] - mean;
        squares += dot(v, v);
    }
    let scale = inverseSqrt(reduce_add(squares, lane) / count + params.eps);
    for (var i = lid; i < params.width; i += WG) {
        y[row * params.width + i] = (x[start + i] - mean) * scale * weight[params.weight_offset + i] + bias[params.bias_offset + i];
    }
}
