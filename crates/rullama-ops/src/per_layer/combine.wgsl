// e = (RMS(c * scale) * weight + rows) / sqrt(2): a workgroup for each token's layer.
#import reduce

struct Params { parts: u32, total: u32, width: u32, stride: u32, offset: u32, c_stride: u32, c_offset: u32, eps: f32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read_write> e: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> rows: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> weight: array<vec4<f32>>;

#if in_place
fn c_at(index: u32, i: u32) -> vec4<f32> { return e[index * params.width + i]; }
#else
@group(0) @binding(_) var<storage, read> c: array<vec4<f32>>;
fn c_at(index: u32, i: u32) -> vec4<f32> {
    return c[params.c_offset + (index / params.parts) * params.c_stride + (index % params.parts) * params.width + i];
}
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, lane: Lane) {
    let lid = lane.id;
    let index = wg.y * groups.x + wg.x;
    if (index >= params.total) { return; }
    let row = params.offset + (index / params.parts) * params.stride + (index % params.parts) * params.width;
    var sum = 0.0;
    for (var i = lid; i < params.width; i += WG) {
        let v = c_at(index, i) * params.scale;
        sum += dot(v, v);
    }
    let norm = inverseSqrt(reduce_add(sum, lane) / f32(4u * params.width) + params.eps);
    for (var i = lid; i < params.width; i += WG) {
        e[index * params.width + i] = (c_at(index, i) * (params.scale * norm) * weight[i] + rows[row + i]) * 0.7071067811865476;
    }
}
