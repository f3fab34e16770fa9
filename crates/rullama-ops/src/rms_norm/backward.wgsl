// dx = [acc +] inv (a - x inv^2 mean(a x)), a = g [weight], inv = 1 / sqrt(mean(x^2) + eps): a workgroup a run of `width` quads.
#import reduce

struct Params {
    runs: u32, parts: u32, width: u32, eps: f32,
    x_stride: u32, x_offset: u32,
    g_stride: u32, g_offset: u32,
#if acc
    acc_stride: u32, acc_offset: u32,
#endif
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> dx: array<vec4<f32>>;
#if weighted
@group(0) @binding(_) var<storage, read> weight: array<vec4<f32>>;
#endif
#if acc
#if !in_place
@group(0) @binding(_) var<storage, read> acc: array<vec4<f32>>;
#endif
#endif

fn arriving(at: u32, i: u32) -> vec4<f32> {
#if weighted
    return g[at + i] * weight[i];
#else
    return g[at + i];
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, lane: Lane) {
    let run = wg.y * groups.x + wg.x;
    if (run >= params.runs) { return; }
    let row = run / params.parts;
    let column = (run % params.parts) * params.width;
    let x_at = params.x_offset + row * params.x_stride + column;
    let g_at = params.g_offset + row * params.g_stride + column;
    var squares = 0.0;
    var products = 0.0;
    for (var i = lane.id; i < params.width; i += WG) {
        let v = x[x_at + i];
        squares += dot(v, v);
        products += dot(v, arriving(g_at, i));
    }
    squares = reduce_add(squares, lane);
    products = reduce_add(products, lane);
    let count = f32(4u * params.width);
    let inv = inverseSqrt(squares / count + params.eps);
    // inv^2 mean(a x), in an order that stays in range for large x.
    let along = inv * (inv * (products / count));
    for (var i = lane.id; i < params.width; i += WG) {
        let to = run * params.width + i;
        let d = inv * (arriving(g_at, i) - x[x_at + i] * along);
#if acc
#if in_place
        dx[to] += d;
#else
        dx[to] = acc[params.acc_offset + row * params.acc_stride + column + i] + d;
#endif
#else
        dx[to] = d;
#endif
    }
}
