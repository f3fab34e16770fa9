// Which keys a query of a packed row sees, and where queries and keys stand.

struct Params {
    heads: u32, shared_by: u32, // query heads; how many of them use one head of keys
    rows: u32,
    window: u32, // 0 for none
    q_stride: u32, q_offset: u32,
    k_stride: u32, k_offset: u32,
#params
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> starts: array<u32>;

const NONE = 0xffffffffu;

// The first key that the query of `row` sees; the last is its own. NONE where the row is padding, or none.
fn first_key(row: u32) -> u32 {
    if (row >= params.rows) { return NONE; }
    let start = starts[row];
    if (start > row) { return NONE; }
    if (params.window != 0u && row + 1u > params.window) { return max(start, row + 1u - params.window); }
    return start;
}

fn last_key(row: u32) -> u32 { return row; }
// Behind the last key that a row of the tile sees.
fn end_of_tile(first_row: u32, tile: u32) -> u32 { return min(first_row + tile, params.rows); }

fn query(row: u32, head: u32, i: u32) -> vec4<f32> { return q[params.q_offset + row * params.q_stride + head * QUADS + i]; }
fn key(row: u32, head: u32, i: u32) -> vec4<f32> { return k[params.k_offset + row * params.k_stride + (head / params.shared_by) * QUADS + i]; }

#if values
#param v_stride: u32
#param v_offset: u32
@group(0) @binding(_) var<storage, read> v: array<vec4<f32>>;
fn value(row: u32, head: u32, i: u32) -> vec4<f32> { return v[params.v_offset + row * params.v_stride + (head / params.shared_by) * QUADS + i]; }
#endif
#if backward
#param dy_stride: u32
#param dy_offset: u32
#param lse_stride: u32
#param lse_offset: u32
@group(0) @binding(_) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> lse: array<f32>;
// The log of the sum of a query's softmax.
fn sum_of(row: u32, head: u32) -> f32 { return lse[params.lse_offset + row * params.lse_stride + head]; }
#if values
#param delta_stride: u32
#param delta_offset: u32
@group(0) @binding(_) var<storage, read> delta: array<f32>;
fn delta_of(row: u32, head: u32) -> f32 { return delta[params.delta_offset + row * params.delta_stride + head]; }
#endif
fn arriving(row: u32, head: u32, i: u32) -> vec4<f32> { return dy[params.dy_offset + row * params.dy_stride + head * QUADS + i]; }
#endif
