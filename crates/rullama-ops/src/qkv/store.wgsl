// Rows of a step into their slots of a cache: an invocation UNIT quads, which are a block where values share a scale.
#import stored

struct Params { rows: u32, width: u32, slots: u32, stride: u32, offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> state: array<u32>;
@group(0) @binding(_) var<storage, read_write> cache: array<Stored>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let i = ((wg.y * groups.x + wg.x) * WG + lid) * UNIT;
    let row = i / params.width;
    let column = i % params.width;
    if (row >= min(params.rows, state[TOKENS])) { return; }
    let slot = (state[POSITION] + row) % params.slots;
    let first = params.offset + row * params.stride + column;
    let to = slot * params.width + column;
#if q8
    var largest = 0u;
    for (var j = 0u; j < UNIT; j++) { largest = max(largest, magnitude(x[first + j])); }
    let scale = scale_bits(largest);
    for (var j = 0u; j < UNIT; j++) { atomicStore(&cache[to + j], codes(x[first + j], scale)); }
    let block = to / UNIT;
    let word = params.slots * params.width + block / 2u;
    atomicAnd(&cache[word], other_half(block));
    atomicOr(&cache[word], in_half(block, scale));
#else
    cache[to] = stored(x[first]);
#endif
}
