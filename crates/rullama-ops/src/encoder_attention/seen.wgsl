// Each row sees the rows of its own text, both ways, as far as the radius.

struct Params {
    heads: u32, shared_by: u32, // query heads; how many of them use one head of keys
    rows: u32,
    radius: u32,
    scale: f32,
    q_stride: u32, q_offset: u32,
    k_stride: u32, k_offset: u32,
    v_stride: u32, v_offset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> starts: array<u32>;
@group(0) @binding(_) var<storage, read> ends: array<u32>;

const NONE = 0xffffffffu;

// NONE where the row is padding, or none.
fn first_key(row: u32) -> u32 {
    if (row >= params.rows) { return NONE; }
    let start = starts[row];
    if (start > row) { return NONE; }
    return max(start, row - min(row, params.radius));
}

// Of a row that has a first key.
fn last_key(row: u32) -> u32 {
    if (row >= params.rows) { return 0u; }
    let end = min(max(ends[row], 1u), params.rows);
    return min(end - 1u, row + min(params.radius, params.rows));
}

// Behind the last key that a row of the tile sees.
fn end_of_tile(first_row: u32, tile: u32) -> u32 {
    var end = 0u;
    for (var i = 0u; i < tile; i++) {
        let row = first_row + i;
        end = max(end, select(0u, last_key(row) + 1u, first_key(row) != NONE));
    }
    return end;
}

fn query(row: u32, head: u32, i: u32) -> vec4<f32> { return params.scale * q[params.q_offset + row * params.q_stride + head * QUADS + i]; }
fn key(row: u32, head: u32, i: u32) -> vec4<f32> { return k[params.k_offset + row * params.k_stride + (head / params.shared_by) * QUADS + i]; }
fn value(row: u32, head: u32, i: u32) -> vec4<f32> { return v[params.v_offset + row * params.v_stride + (head / params.shared_by) * QUADS + i]; }
