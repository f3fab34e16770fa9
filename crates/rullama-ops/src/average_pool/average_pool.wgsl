// Averages of squares of a grid, a quad an invocation.
struct Params { count: u32, dim: u32, stride: u32, offset: u32, columns: u32, side: u32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let index = (wg.y * groups.x + wg.x) * WG + lid;
    if (index >= params.count) { return; }
    let to = index / params.dim;
    let wide = params.columns / params.side;
    let first = (to / wide) * params.side * params.columns + (to % wide) * params.side;
    var sum = vec4<f32>(0.0);
    for (var i = 0u; i < params.side; i++) {
        for (var j = 0u; j < params.side; j++) {
            sum += x[params.offset + (first + i * params.columns + j) * params.stride + index % params.dim];
        }
    }
    y[index] = sum * params.scale;
}
