// Operands of a product of two f32 matrices, read and written by quads: four neighbouring values of a row, zeros past its end.
// A quad is one load where the rows, strides and offsets of all operands are multiples of 4.
struct Params {
    tokens: u32,
    // Terms of a sum, and columns of y.
    k: u32,
    n: u32,
    scale: f32,
    // In values, in quads where the operand is read by these.
    x_offset: u32,
    x_stride: u32,
    m_offset: u32,
    m_stride: u32,
#if acc
    acc_offset: u32,
    acc_stride: u32,
#endif
}

@group(0) @binding(0) var<uniform> params: Params;

#if quads
@group(0) @binding(_) var<storage, read> x: array<vec4<f32>>;

fn x4(token: u32, quad: u32) -> vec4<f32> {
    return x[params.x_offset + min(token, params.tokens - 1u) * params.x_stride + quad];
}
#else
@group(0) @binding(_) var<storage, read> x: array<f32>;

fn x4(token: u32, quad: u32) -> vec4<f32> {
    let row = params.x_offset + min(token, params.tokens - 1u) * params.x_stride;
    let at = vec4<u32>(4u * quad) + vec4<u32>(0u, 1u, 2u, 3u);
    let i = vec4<u32>(row) + min(at, vec4<u32>(params.k - 1u));
    return select(vec4<f32>(), vec4<f32>(x[i.x], x[i.y], x[i.z], x[i.w]), at < vec4<u32>(params.k));
}
#endif

// Rows of m are columns of y where m is transposed, else terms. Past the end the last row is taken again: its factor is 0, or put4
// drops the sum.
#if quads
@group(0) @binding(_) var<storage, read> m: array<vec4<f32>>;

fn m4(row: u32, quad: u32, rows: u32, cols: u32) -> vec4<f32> {
    return m[params.m_offset + min(row, rows - 1u) * params.m_stride + quad];
}
#else
@group(0) @binding(_) var<storage, read> m: array<f32>;

fn m4(row: u32, quad: u32, rows: u32, cols: u32) -> vec4<f32> {
    let start = params.m_offset + min(row, rows - 1u) * params.m_stride;
    let at = vec4<u32>(4u * quad) + vec4<u32>(0u, 1u, 2u, 3u);
    let i = vec4<u32>(start) + min(at, vec4<u32>(cols - 1u));
    return select(vec4<f32>(), vec4<f32>(m[i.x], m[i.y], m[i.z], m[i.w]), at < vec4<u32>(cols));
}
#endif

// What terms 4 quad .. of x add to columns 4 column .. of y.
#if transposed
struct Block { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32> }

fn block(quad: u32, column: u32) -> Block {
    let n = 4u * column;
    return Block(
        m4(n, quad, params.n, params.k),
        m4(n + 1u, quad, params.n, params.k),
        m4(n + 2u, quad, params.n, params.k),
        m4(n + 3u, quad, params.n, params.k),
    );
}

fn product(x: vec4<f32>, m: Block) -> vec4<f32> {
    return vec4<f32>(dot(x, m.a), dot(x, m.b), dot(x, m.c), dot(x, m.d));
}
#else
struct Block { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32> }

fn block(quad: u32, column: u32) -> Block {
    let k = 4u * quad;
    return Block(
        m4(k, column, params.k, params.n),
        m4(k + 1u, column, params.k, params.n),
        m4(k + 2u, column, params.k, params.n),
        m4(k + 3u, column, params.k, params.n),
    );
}

fn product(x: vec4<f32>, m: Block) -> vec4<f32> {
    return x.x * m.a + x.y * m.b + x.z * m.c + x.w * m.d;
}
#endif

#if quads
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;
#if acc
@group(0) @binding(_) var<storage, read> acc: array<vec4<f32>>;
#endif

fn put4(token: u32, column: u32, sum: vec4<f32>) {
    if (token >= params.tokens || 4u * column >= params.n) { return; }
    let at = token * (params.n >> 2u) + column;
#if acc
    y[at] = acc[params.acc_offset + token * params.acc_stride + column] + params.scale * sum;
#else
#if in_place
    y[at] += params.scale * sum;
#else
    y[at] = params.scale * sum;
#endif
#endif
}
#else
@group(0) @binding(_) var<storage, read_write> y: array<f32>;
#if acc
@group(0) @binding(_) var<storage, read> acc: array<f32>;
#endif

fn put4(token: u32, column: u32, sum: vec4<f32>) {
    if (token >= params.tokens) { return; }
    for (var i = 0u; i < 4u; i++) {
        let n = 4u * column + i;
        if (n >= params.n) { return; }
        let at = token * params.n + n;
#if acc
        y[at] = acc[params.acc_offset + token * params.acc_stride + n] + params.scale * sum[i];
#else
#if in_place
        y[at] += params.scale * sum[i];
#else
        y[at] = params.scale * sum[i];
#endif
#endif
    }
}
#endif
