// y = x[tokens - 1]
struct Params { dim: u32, rows: u32, stride: u32, offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> step: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= params.dim) { return; }
    let row = min(max(step[TOKENS], 1u) - 1u, params.rows - 1u);
    y[id.x] = x[params.offset + row * params.stride + id.x];
}
