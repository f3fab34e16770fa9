// y = x / sqrt(mean(x^2) + eps) * weight: a workgroup a run of `width` quads, four values at a time.
#import reduce

struct Params { runs: u32, parts: u32, width: u32, stride: u32, offset: u32, eps: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, lane: Lane) {
    let lid = lane.id;
    let run = wg.y * groups.x + wg.x;
    if (run >= params.runs) { return; }
    let start = params.offset + (run / params.parts) * params.stride + (run % params.parts) * params.width;
    var sum = 0.0;
    for (var i = lid; i < params.width; i += WG) {
        let v = x[start + i];
        sum += dot(v, v);
    }
    sum = reduce_add(sum, lane);
    let scale = inverseSqrt(sum / f32(4u * params.width) + params.eps);
    for (var i = lid; i < params.width; i += WG) {
        y[run * params.width + i] = x[start + i] * scale * weight[i];
    }
}
