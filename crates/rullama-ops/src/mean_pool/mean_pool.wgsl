// y[i] = mean of the rows spans[2 i] .. spans[2 i + 1] of x: an invocation a quad.
struct Params { count: u32, dim: u32, rows: u32, stride: u32, offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> spans: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let index = (wg.y * groups.x + wg.x) * WG + lid;
    if (index >= params.count) { return; }
    let text = index / params.dim;
    let at = params.offset + index % params.dim;
    let start = spans[2u * text];
    let end = min(spans[2u * text + 1u], params.rows);
    var sum = vec4<f32>(0.0);
    for (var row = start; row < end; row++) { sum += x[at + row * params.stride]; }
    if (start < end) { sum /= f32(end - start); }
    y[index] = sum;
}
