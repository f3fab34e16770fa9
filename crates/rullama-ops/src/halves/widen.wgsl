// Halves as they were, a quad an invocation.

struct Params {
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> halves: array<vec2<u32>>;
@group(0) @binding(_) var<storage, read> scales: array<u32>;
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) wgs: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let at = (wg.y * wgs.x + wg.x) * WG + lid;
    if (at >= params.count) { return; }
    let words = halves[at];
    y[at] = vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y)) * bitcast<f32>(scales[at / 8u]);
}
