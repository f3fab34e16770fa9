// e = (RMS(c * scale) * weight + rows) / sqrt(2): a workgroup for each token's layer.
#import reduce

struct Params { parts: u32, total: u32, width: u32, stride: u32, offset: u32, eps: f32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> c: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> rows: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> weight: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, lane: Lane) {
    let lid = lane.id;
    let index = wg.y * groups.x + wg.x;
    if (index >= params.total) { return; }
    let at = index * params.width;
    let row = params.offset + (index / params.parts) * params.stride + (index % params.parts) * params.width;
    var sum = 0.0;
    for (var i = lid; i < params.width; i += WG) {
        let v = c[at + i] * params.scale;
        sum += dot(v, v);
    }
    let norm = inverseSqrt(reduce_add(sum, lane) / f32(4u * params.width) + params.eps);
    for (var i = lid; i < params.width; i += WG) {
        c[at + i] = (c[at + i] * (params.scale * norm) * weight[i] + rows[row + i]) * 0.7071067811865476;
    }
}
