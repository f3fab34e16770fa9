// y = epilogue(the sums over all shares of a row's terms, one after the other); of codes an invocation makes a quad.
#import math
#import epilogue

struct Params {
    // Weight rows of this chunk, and the first of them in the whole weight.
    rows: u32,
    first_row: u32,
    tokens: u32,
    shares: u32,
    // In values.
    y_stride: u32,
#params
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> parts: array<f32>;
#if codes
#import codes_store
#else
@group(0) @binding(_) var<storage, read_write> y: array<f32>;
#endif

// Four shares at a time, so that what is read is on its way together.
fn shared_sum(at: u32) -> f32 {
    let share_of = params.tokens * params.rows;
    var sum = 0.0;
    for (var share = 0u; share < params.shares; share += 4u) {
#repeat i 4
        let part{i} = parts[min(share + {i}u, params.shares - 1u) * share_of + at];
#end
#repeat i 4
        sum += select(0.0, part{i}, share + {i}u < params.shares);
#end
    }
    return sum;
}

// Value i of all tokens'.
fn value(i: u32, token: u32, at: u32) -> f32 {
#if pairs
    return finish(shared_sum(2u * i), shared_sum(2u * i + 1u), token, at);
#else
    return finish(shared_sum(i), token, at);
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) wgs: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let columns = params.rows / SIDES;
#if codes
    let i = 4u * ((wg.y * wgs.x + wg.x) * WG + lid);
    let here = i < params.tokens * columns;
#else
    let i = (wg.y * wgs.x + wg.x) * WG + lid;
    if (i >= params.tokens * columns) { return; }
#endif
    let token = i / columns;
    let at = params.first_row / SIDES + i % columns;
#if codes
    var quad = vec4<f32>();
    if (here) {
        quad = vec4<f32>(value(i, token, at), value(i + 1u, token, at + 1u), value(i + 2u, token, at + 2u), value(i + 3u, token, at + 3u));
    }
    store_codes((token * params.y_stride + at) / 4u, quad, here, lid);
#else
    y[token * params.y_stride + at] = value(i, token, at);
#endif
}
