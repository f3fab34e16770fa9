// Pairs (j, j + half) of each part of each head turned by the part's angles: an invocation a pair.
struct Params {
    count: u32,
    pairs: u32, // of a row
    head: u32, half: u32, // values of a head, and of half a part
    stride: u32, offset: u32,
    turns_stride: u32, turns_offset: u32,
    y_stride: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> x: array<f32>;
@group(0) @binding(_) var<storage, read> turns: array<f32>;
@group(0) @binding(_) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let index = (wg.y * groups.x + wg.x) * WG + lid;
    if (index >= params.count) { return; }
    let t = index / params.pairs;
    let pair = index % params.pairs;
    // Where the pair's first value stands in the row.
    let at = (pair / params.half) * 2u * params.half + pair % params.half;
    let turn = params.turns_offset + t * params.turns_stride + at % params.head;
    let c = turns[turn];
    let s = turns[turn + params.half];
    let source = params.offset + t * params.stride + at;
    let a = x[source];
    let b = x[source + params.half];
    let to = t * params.y_stride + at;
    y[to] = a * c - b * s;
    y[to + params.half] = b * c + a * s;
}
