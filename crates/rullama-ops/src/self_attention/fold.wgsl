// Sums over the parts of each head of keys: a quad an invocation.
struct Params { count: u32, quads: u32, parts: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> parts: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let index = (wg.y * groups.x + wg.x) * WG + lid;
    if (index >= params.count) { return; }
    let first = (index / params.quads) * params.parts * params.quads + index % params.quads;
    var sum = parts[first];
    for (var i = 1u; i < params.parts; i++) { sum += parts[first + i * params.quads]; }
    out[index] = sum;
}
