// out = (h + RMS(a) * weight) * scale; y = RMS(out) * next_weight, as values or as codes: a workgroup a row. Each
// invocation reads back only what it wrote itself, so out needs no barrier between the two.
#import reduce

struct Params { rows: u32, dim: u32, stride: u32, offset: u32, h_stride: u32, h_offset: u32, eps: f32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> out: array<vec4<f32>>;
#if next
@group(0) @binding(_) var<storage, read> next_weight: array<vec4<f32>>;
#if codes
#import codes_store
#else
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;
#endif
#endif

#if in_place
fn h_at(row: u32, i: u32) -> vec4<f32> { return out[row * params.dim + i]; }
#else
@group(0) @binding(_) var<storage, read> h: array<vec4<f32>>;
fn h_at(row: u32, i: u32) -> vec4<f32> { return h[params.h_offset + row * params.h_stride + i]; }
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, lane: Lane) {
    let lid = lane.id;
    let row = wg.y * groups.x + wg.x;
    if (row >= params.rows) { return; }
    let a_row = params.offset + row * params.stride;
    let out_row = row * params.dim;
    var sum = 0.0;
    for (var i = lid; i < params.dim; i += WG) {
        let v = a[a_row + i];
        sum += dot(v, v);
    }
    let count = f32(4u * params.dim);
    let scale = inverseSqrt(reduce_add(sum, lane) / count + params.eps);
    sum = 0.0;
    for (var i = lid; i < params.dim; i += WG) {
        let v = (h_at(row, i) + a[a_row + i] * scale * weight[i]) * params.scale;
        out[out_row + i] = v;
        sum += dot(v, v);
    }
#if next
    let next_scale = inverseSqrt(reduce_add(sum, lane) / count + params.eps);
#if codes
    for (var first = 0u; first < params.dim; first += WG) {
        let i = first + lid;
        var v = vec4<f32>();
        if (i < params.dim) { v = out[out_row + i] * next_scale * next_weight[i]; }
        store_codes(out_row + i, v, i < params.dim, lid);
    }
#else
    for (var i = lid; i < params.dim; i += WG) {
        y[out_row + i] = out[out_row + i] * next_scale * next_weight[i];
    }
#endif
#endif
}
