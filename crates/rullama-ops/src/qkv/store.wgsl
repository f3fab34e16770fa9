// Rows of a step into their slots of a cache: an invocation a quad.
#import stored

struct Params { rows: u32, width: u32, slots: u32, stride: u32, offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> state: array<u32>;
@group(0) @binding(_) var<storage, read_write> cache: array<Stored>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let i = (wg.y * groups.x + wg.x) * WG + lid;
    let row = i / params.width;
    let column = i % params.width;
    if (row >= min(params.rows, state[TOKENS])) { return; }
    let slot = (state[POSITION] + row) % params.slots;
    cache[slot * params.width + column] = stored(x[params.offset + row * params.stride + column]);
}
