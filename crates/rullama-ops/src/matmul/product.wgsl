// What every matmul kernel shares: interface, weight access, and where a sum goes. Parts bring their own bindings and
// parameters: the prologue says what x is (x_row, x_scale, load_x), the epilogue what becomes of a sum (finish).
#import prologue
#import epilogue

struct Params {
    plane0: u32,
    plane1: u32,
    plane2: u32,
    plane3: u32,
    // Weight rows of this chunk, and the first of them in the whole weight.
    rows: u32,
    first_row: u32,
    // Row r of the chunk stands at row start + r * step of its buffer.
    start: u32,
    step: u32,
    // Groups of 32 weights in a row.
    groups: u32,
    tokens: u32,
    // In values.
    y_stride: u32,
#if tiles
    // Quads of terms that one workgroup adds up.
    share: u32,
#endif
#params
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> weight: array<vec4<u32>>;
#if codes
#import codes_store
#else
@group(0) @binding(_) var<storage, read_write> y: array<f32>;
#endif

fn w4(i: u32) -> vec4<u32> {
    return weight[i];
}

fn w1(i: u32) -> u32 {
    return weight[i >> 2u][i & 3u];
}

// The first group of a row of the chunk; past the end the last row is taken again, and put() drops what becomes of it.
fn row_at(row: u32) -> u32 {
    return (params.start + min(row, params.rows - 1u) * params.step) * params.groups;
}

fn planes() -> vec4<u32> {
    return vec4<u32>(params.plane0, params.plane1, params.plane2, params.plane3);
}

#if shares
// A sum over one share of the terms.
fn put_part(share: u32, row: u32, token: u32, sum: f32) {
    if (row < params.rows && token < params.tokens) {
        y[(share * params.tokens + token) * params.rows + row] = sum;
    }
}
#endif

#if !codes
#if pairs
// The sums of an even row and the odd row behind it.
fn put(row: u32, token: u32, even: f32, odd: f32) {
    if (row < params.rows && token < params.tokens) {
        let at = (params.first_row + row) >> 1u;
        y[token * params.y_stride + at] = finish(even, odd, token, at);
    }
}
#else
fn put(row: u32, token: u32, sum: f32) {
    if (row < params.rows && token < params.tokens) {
        let at = params.first_row + row;
        y[token * params.y_stride + at] = finish(sum, token, at);
    }
}
#endif
#endif
