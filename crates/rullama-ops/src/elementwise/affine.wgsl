// y = (x + shift) * factor, a quad an invocation.
struct Params { count: u32, dim: u32, stride: u32, offset: u32, shift_offset: u32, factor_offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> shift: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> factor: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let i = (wg.y * groups.x + wg.x) * WG + lid;
    if (i >= params.count) { return; }
    let column = i % params.dim;
    let v = x[params.offset + (i / params.dim) * params.stride + column];
    y[i] = (v + shift[params.shift_offset + column]) * factor[params.factor_offset + column];
}
