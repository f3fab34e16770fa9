// h = (h + RMS(a) * weight) * scale; y = RMS(h) * next_weight: a workgroup a row. Each
// invocation reads back only what it wrote itself, so h needs no barrier between the two.
#import reduce

struct Params { rows: u32, dim: u32, stride: u32, offset: u32, eps: f32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> h: array<vec4<f32>>;
#if next
@group(0) @binding(4) var<storage, read> next_weight: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, lane: Lane) {
    let lid = lane.id;
    let row = wg.y * groups.x + wg.x;
    if (row >= params.rows) { return; }
    let a_row = params.offset + row * params.stride;
    let h_row = row * params.dim;
    var sum = 0.0;
    for (var i = lid; i < params.dim; i += WG) {
        let v = a[a_row + i];
        sum += dot(v, v);
    }
    let count = f32(4u * params.dim);
    let scale = inverseSqrt(reduce_add(sum, lane) / count + params.eps);
    sum = 0.0;
    for (var i = lid; i < params.dim; i += WG) {
        let v = (h[h_row + i] + a[a_row + i] * scale * weight[i]) * params.scale;
        h[h_row + i] = v;
        sum += dot(v, v);
    }
#if next
    let next_scale = inverseSqrt(reduce_add(sum, lane) / count + params.eps);
    for (var i = lid; i < params.dim; i += WG) {
        y[h_row + i] = h[h_row + i] * next_scale * next_weight[i];
    }
#endif
}
