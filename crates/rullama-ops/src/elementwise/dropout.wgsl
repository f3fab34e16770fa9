// y = x mask / (1 - rate): a quad an invocation. A value is dropped where its random word is below `rate` of all words.
#import philox

struct Params { count: u32, dim: u32, stride: u32, offset: u32, first: u32, salt: u32, dropped: u32, kept: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
// Seed, low and high word; number of the step.
@group(0) @binding(2) var<storage, read> chance: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let i = (wg.y * groups.x + wg.x) * WG + lid;
    if (i >= params.count) { return; }
    let stream = philox(vec2<u32>(chance[2], params.salt), chance[0]);
    let key = stream.x;
    let high = stream.y ^ chance[1];
    let at = 2u * (params.first + i);
    let words = vec4<u32>(philox(vec2<u32>(at, high), key), philox(vec2<u32>(at + 1u, high), key));
    let v = x[params.offset + (i / params.dim) * params.stride + i % params.dim] * params.kept;
    y[i] = select(v, vec4<f32>(0.0), words < vec4<u32>(params.dropped));
}
