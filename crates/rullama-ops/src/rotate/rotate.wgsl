// Pairs (i, i + half) of each head turned by the angle of the token's position in its example: an invocation four pairs.
struct Params {
    count: u32, heads: u32,
    half: u32, // quads of half a head
    stride: u32, offset: u32,
    low_stride: u32, low_offset: u32,
    high_stride: u32, high_offset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> rope_low: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> rope_high: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> starts: array<u32>;
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let index = (wg.y * groups.x + wg.x) * WG + lid;
    if (index >= params.count) { return; }
    let half = params.half;
    let i = index % half;
    let head = (index / half) % params.heads;
    let t = index / (half * params.heads);
    let to = (t * params.heads + head) * 2u * half + i;
    let start = starts[t];
    if (start > t) {
        y[to] = vec4<f32>(0.0);
        y[to + half] = vec4<f32>(0.0);
        return;
    }
    let position = t - start;
    let low = params.low_offset + (position % LOW) * params.low_stride + i;
    let high = params.high_offset + (position / LOW) * params.high_stride + i;
    let c = rope_low[low] * rope_high[high] - rope_low[low + half] * rope_high[high + half];
    let turn = rope_low[low + half] * rope_high[high] + rope_low[low] * rope_high[high + half];
#if inverse
    let s = -turn;
#else
    let s = turn;
#endif
    let source = params.offset + t * params.stride + head * 2u * half + i;
    let a = x[source];
    let b = x[source + half];
    y[to] = a * c - b * s;
    y[to + half] = b * c + a * s;
}
