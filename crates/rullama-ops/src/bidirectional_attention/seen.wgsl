// Every row sees every row.

struct Params {
    heads: u32,
    rows: u32,
    q_stride: u32, q_offset: u32,
    k_stride: u32, k_offset: u32,
    v_stride: u32, v_offset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> v: array<vec4<f32>>;

const NONE = 0xffffffffu;

fn first_key(row: u32) -> u32 { return select(NONE, 0u, row < params.rows); }
fn last_key(row: u32) -> u32 { return params.rows - 1u; }
fn end_of_tile(first_row: u32, tile: u32) -> u32 { return params.rows; }

// A head need not be whole cuts of a tile: zeros behind its end.
fn query(row: u32, head: u32, i: u32) -> vec4<f32> {
    if (i >= QUADS) { return vec4<f32>(0.0); }
    return q[params.q_offset + row * params.q_stride + head * QUADS + i];
}
fn key(row: u32, head: u32, i: u32) -> vec4<f32> {
    if (i >= QUADS) { return vec4<f32>(0.0); }
    return k[params.k_offset + row * params.k_stride + head * QUADS + i];
}
fn value(row: u32, head: u32, i: u32) -> vec4<f32> { return v[params.v_offset + row * params.v_stride + head * QUADS + i]; }
