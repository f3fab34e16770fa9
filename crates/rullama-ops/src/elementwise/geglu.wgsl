// y = gelu(gate) * up
#import math

struct Params { count: u32, dim: u32, gate_stride: u32, gate_offset: u32, up_stride: u32, up_offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gate: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> up: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let i = (wg.y * groups.x + wg.x) * WG + lid;
    if (i >= params.count) { return; }
    let row = i / params.dim;
    let col = i % params.dim;
    y[i] = gelu4(gate[params.gate_offset + row * params.gate_stride + col]) * up[params.up_offset + row * params.up_stride + col];
}
