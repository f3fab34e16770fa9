// c[ids[t]] += g[t]: one column of a token an invocation. The first token of an id adds up those of all later ones, in order; the
// others do nothing.
struct Params {
    tokens: u32,
    vocab: u32,
    cols: u32,
    // An id that gets nothing.
    skip: u32,
    g_offset: u32,
    g_stride: u32,
    c_offset: u32,
    c_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> ids: array<u32>;
@group(0) @binding(_) var<storage, read> g: array<f32>;
@group(0) @binding(_) var<storage, read_write> c: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) wgs: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let at = (wg.y * wgs.x + wg.x) * WG + lid;
    let token = at / params.cols;
    if (token >= params.tokens) { return; }
    let column = at % params.cols;
    let id = ids[token];
    if (id >= params.vocab || id == params.skip) { return; }
    for (var t = 0u; t < token; t++) {
        if (ids[t] == id) { return; }
    }
    var sum = 0.0;
    for (var t = token; t < params.tokens; t++) {
        if (ids[t] == id) { sum += g[params.g_offset + t * params.g_stride + column]; }
    }
    c[params.c_offset + id * params.c_stride + column] += sum;
}
