// y = epilogue(the sums over all shares of a row's terms, one after the other).
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
@group(0) @binding(_) var<storage, read_write> y: array<f32>;

fn shared_sum(at: u32) -> f32 {
    var sum = 0.0;
    for (var share = 0u; share < params.shares; share++) {
        sum += parts[share * params.tokens * params.rows + at];
    }
    return sum;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) wgs: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let i = (wg.y * wgs.x + wg.x) * WG + lid;
    let columns = params.rows / SIDES;
    if (i >= params.tokens * columns) { return; }
    let token = i / columns;
    let at = params.first_row / SIDES + i % columns;
#if pairs
    y[token * params.y_stride + at] = finish(shared_sum(2u * i), shared_sum(2u * i + 1u), token, at);
#else
    y[token * params.y_stride + at] = finish(shared_sum(i), token, at);
#endif
}
