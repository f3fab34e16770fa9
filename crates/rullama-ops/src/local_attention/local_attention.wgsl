// Attention of a row to itself and the rows before it: a workgroup a row. An invocation a score of one head, then a head's softmax,
// then a quad of the output.
#import math

struct Params {
    rows: u32,
    cap: f32,
    q_stride: u32, q_offset: u32,
    k_stride: u32, k_offset: u32,
    v_stride: u32, v_offset: u32,
    r_stride: u32, r_offset: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> r: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;

var<workgroup> scores: array<f32, HEADS * SPAN>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let row = wg.y * groups.x + wg.x;
    if (row >= params.rows) { return; }
    let seen = min(SPAN, row + 1u);
    for (var i = lid; i < HEADS * SPAN; i += WG) {
        let head = i / SPAN;
        let back = i % SPAN;
        if (back < seen) {
            let a = params.q_offset + row * params.q_stride + head * QUADS;
            let b = params.k_offset + (row - back) * params.k_stride + head * QUADS;
            let c = params.r_offset + back * params.r_stride + head * QUADS;
            var sum = 0.0;
            for (var at = 0u; at < QUADS; at++) { sum += dot(q[a + at], k[b + at] + r[c + at]); }
            scores[i] = softcap(sum, params.cap);
        }
    }
    workgroupBarrier();
    for (var head = lid; head < HEADS; head += WG) {
        let first = head * SPAN;
        var best = scores[first];
        for (var i = 1u; i < seen; i++) { best = max(best, scores[first + i]); }
        var sum = 0.0;
        for (var i = 0u; i < seen; i++) {
            let p = safe_exp(scores[first + i] - best);
            scores[first + i] = p;
            sum += p;
        }
        for (var i = 0u; i < seen; i++) { scores[first + i] /= sum; }
    }
    workgroupBarrier();
    for (var column = lid; column < HEADS * QUADS; column += WG) {
        let first = (column / QUADS) * SPAN;
        var sum = vec4<f32>(0.0);
        for (var i = 0u; i < seen; i++) { sum += scores[first + i] * v[params.v_offset + (row - i) * params.v_stride + column]; }
        y[row * HEADS * QUADS + column] = sum;
    }
}
