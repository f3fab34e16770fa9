// Rows of x to those of y from element `first` on: an element an invocation.
#if quads
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif
struct Params { count: u32, dim: u32, stride: u32, offset: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let i = (wg.y * groups.x + wg.x) * WG + lid;
    if (i >= params.count) { return; }
    y[params.first + i] = x[params.offset + (i / params.dim) * params.stride + i % params.dim];
}
