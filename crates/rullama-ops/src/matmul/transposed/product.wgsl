// What the kernels of a transposed product share: interface, weight access, and where a sum goes.
struct Params {
    plane0: u32,
    plane1: u32,
    plane2: u32,
    plane3: u32,
    // Weight rows of this chunk, and those of them that one workgroup adds up.
    rows: u32,
    share: u32,
    // Row r of the chunk stands at row start + r * step of its buffer.
    start: u32,
    step: u32,
    // Groups of 32 weights in a row.
    groups: u32,
    tokens: u32,
    // Of g, from the chunk's first row on: in values, in quads where g is read by these.
    g_offset: u32,
    g_stride: u32,
#if acc
    acc_offset: u32,
    acc_stride: u32,
#endif
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> weight: array<vec4<u32>>;
#if quads
@group(0) @binding(_) var<storage, read> g: array<vec4<f32>>;
#else
@group(0) @binding(_) var<storage, read> g: array<f32>;
#endif
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;
#if acc
@group(0) @binding(_) var<storage, read> acc: array<vec4<f32>>;
#endif

fn w4(i: u32) -> vec4<u32> {
    return weight[i];
}

fn w1(i: u32) -> u32 {
    return weight[i >> 2u][i & 3u];
}

// The first group of a row of the chunk; past the end the last row is taken again: its factor is 0.
fn row_at(row: u32) -> u32 {
    return (params.start + min(row, params.rows - 1u) * params.step) * params.groups;
}

fn planes() -> vec4<u32> {
    return vec4<u32>(params.plane0, params.plane1, params.plane2, params.plane3);
}

// Four neighbouring columns of a token, of the sums over one share of the rows.
fn put(share: u32, token: u32, quad: u32, sum: vec4<f32>) {
    let quads = 8u * params.groups;
    if (token < params.tokens && quad < quads) {
        let at = (share * params.tokens + token) * quads + quad;
#if acc
        y[at] = acc[params.acc_offset + token * params.acc_stride + quad] + sum;
#else
#if in_place
        y[at] += sum;
#else
        y[at] = sum;
#endif
#endif
    }
}
