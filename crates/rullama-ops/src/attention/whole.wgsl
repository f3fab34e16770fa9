// What the kernels share that take whole queries.
#import cached
#import span

struct Params {
    heads: u32, shared_by: u32, // query heads; how many of them use one head of keys
    rows: u32,
    width: u32, // quads of a slot
    slots: u32,
    window: u32, // 0 for none
    q_stride: u32, q_offset: u32, y_offset: u32,
    splits: u32, // shares of a token's keys
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> state: array<u32>;
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;
#if blocks
@group(0) @binding(_) var<storage, read> ends: array<u32>;
#endif

fn slot_runs() -> u32 { return params.width / 2u; }

// The position behind the last key that a token sees.
fn end_of(token: u32) -> u32 {
#if blocks
    return ends[min(token, params.rows - 1u)];
#else
    return state[POSITION] + token + 1u;
#endif
}
