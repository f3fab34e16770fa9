// What every matmul kernel shares: interface, weight access, and what becomes of a sum.

struct Params {
    plane0: u32,
    plane1: u32,
    plane2: u32,
    plane3: u32,
    // Weight rows of this chunk, and the first of them in the whole weight.
    rows: u32,
    first_row: u32,
    // Groups of 32 weights in a row.
    groups: u32,
    tokens: u32,
    // In vec4.
    x_offset: u32,
    x_stride: u32,
    // In values.
    e_offset: u32,
    e_stride: u32,
    y_stride: u32,
    cap: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<u32>>;
#if gelu_mul
@group(0) @binding(3) var<storage, read> e: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
#else
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
#endif

fn w4(i: u32) -> vec4<u32> {
    return weight[i];
}

fn w1(i: u32) -> u32 {
    return weight[i >> 2u][i & 3u];
}

fn planes() -> vec4<u32> {
    return vec4<u32>(params.plane0, params.plane1, params.plane2, params.plane3);
}

#if geglu
// The sums of a gate row (even) and the up row behind it.
fn put(row: u32, token: u32, gate: f32, up: f32) {
    if (row < params.rows && token < params.tokens) {
        y[token * params.y_stride + ((params.first_row + row) >> 1u)] = gelu(gate) * up;
    }
}
#else
fn put(row: u32, token: u32, sum: f32) {
    if (row < params.rows && token < params.tokens) {
        let at = params.first_row + row;
#if softcap
        // A NaN must get through: clamping hides it on some drivers, so it is told by its bits.
        let value = select(params.cap * safe_tanh(sum / params.cap), sum, (bitcast<u32>(sum) & 0x7fffffffu) > 0x7f800000u);
#else
#if gelu_mul
        let value = gelu(sum) * e[params.e_offset + token * params.e_stride + at];
#else
        let value = sum;
#endif
#endif
        y[token * params.y_stride + at] = value;
    }
}
#endif
