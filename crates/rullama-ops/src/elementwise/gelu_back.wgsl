// d_gate = dy up gelu'(gate), d_up = dy gelu(gate): a quad an invocation.
#import math

struct Params {
    count: u32, dim: u32,
    gate_stride: u32, gate_offset: u32,
    up_stride: u32, up_offset: u32,
    dy_stride: u32, dy_offset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gate: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> up: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> d_gate: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> d_up: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let i = (wg.y * groups.x + wg.x) * WG + lid;
    if (i >= params.count) { return; }
    let row = i / params.dim;
    let column = i % params.dim;
    let x = gate[params.gate_offset + row * params.gate_stride + column];
    let g = dy[params.dy_offset + row * params.dy_stride + column];
    let slope = vec4<f32>(gelu_slope(x.x), gelu_slope(x.y), gelu_slope(x.z), gelu_slope(x.w));
    // The slope first: where it is 0 the product with an overflowing `dy up` would be NaN.
    d_gate[i] = (g * slope) * up[params.up_offset + row * params.up_stride + column];
    d_up[i] = g * vec4<f32>(gelu(x.x), gelu(x.y), gelu(x.z), gelu(x.w));
}
