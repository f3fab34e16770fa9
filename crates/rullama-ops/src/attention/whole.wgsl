// What the kernels share that take all keys of a query in one workgroup.
#import cached

struct Params {
    heads: u32, shared_by: u32, // query heads; how many of them use one head of keys
    rows: u32,
    width: u32, // quads of a slot
    slots: u32,
    window: u32, // 0 for none
    q_stride: u32, q_offset: u32, y_offset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> state: array<u32>;
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;
#if blocks
@group(0) @binding(_) var<storage, read> ends: array<u32>;
#endif

const POSITION = 0u;
const TOKENS = 1u;
const LOWEST = -3.0e38;

fn slot_runs() -> u32 { return params.width / 2u; }

// The position behind the last key that a token sees.
fn end_of(token: u32) -> u32 {
#if blocks
    return ends[min(token, params.rows - 1u)];
#else
    return state[POSITION] + token + 1u;
#endif
}
