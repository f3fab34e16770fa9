// out = acc with g added to columns `column ..` from row `row` on: an element of `out` an invocation; in place, one of g.
#if quads
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif
struct Params {
    count: u32, dim: u32, width: u32, column: u32, row: u32,
    g_stride: u32, g_offset: u32,
#if !in_place
    rows: u32, acc_stride: u32, acc_offset: u32,
#endif
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> g: array<Element>;
@group(0) @binding(_) var<storage, read_write> out: array<Element>;
#if !in_place
@group(0) @binding(_) var<storage, read> acc: array<Element>;
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let i = (wg.y * groups.x + wg.x) * WG + lid;
    if (i >= params.count) { return; }
#if in_place
    let row = i / params.width;
    let at = i % params.width;
    out[(params.row + row) * params.dim + params.column + at] += g[params.g_offset + row * params.g_stride + at];
#else
    let row = i / params.dim;
    let column = i % params.dim;
    var sum = acc[params.acc_offset + row * params.acc_stride + column];
    // Below 0 these are too large.
    let at = vec2<u32>(row - params.row, column - params.column);
    if (at.x < params.rows && at.y < params.width) {
        sum += g[params.g_offset + at.x * params.g_stride + at.y];
    }
    out[i] = sum;
#endif
}
