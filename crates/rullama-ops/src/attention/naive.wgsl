// y = softmax(q K^T) V for one head of one token in a workgroup: a tile of WG keys at a time,
// an invocation a score, then an invocation up to two quads of the output. The maximum so far
// is kept, and what was summed under an older one is scaled down.
#import math
#import whole

var<workgroup> scores: array<f32, WG>;

// The score of a key whose head begins at `at`.
fn score(row: u32, at: u32) -> f32 {
    var sum = 0.0;
    for (var i = 0u; i < QUADS; i++) { sum += dot(q[row + i], key_quad(at + i)); }
    return sum;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let head = wg.x;
    let token = wg.y;
    let first = (head / params.shared_by) * QUADS;
    let row = params.q_offset + token * params.q_stride + head * QUADS;
    let end = select(0u, end_of(token), token < state[TOKENS]);
    let start = span_of(token, state[POSITION], state[TOKENS], params.window, params.splits).start;
    var best = LOWEST;
    var sum = 0.0;
    var left = vec4<f32>(0.0);
    var right = vec4<f32>(0.0);
    for (var base = start; base < end; base += WG) {
        let count = min(WG, end - base);
        var mine = LOWEST;
        if (lid < count) { mine = score(row, ((base + lid) % params.slots) * params.width + first); }
        workgroupBarrier();
        scores[lid] = mine;
        workgroupBarrier();
        let before = best;
        for (var i = 0u; i < count; i++) { best = max(best, scores[i]); }
        workgroupBarrier();
        scores[lid] = safe_exp(mine - best);
        workgroupBarrier();
        let fade = safe_exp(before - best);
        sum *= fade;
        left *= fade;
        right *= fade;
        for (var i = 0u; i < count; i++) {
            let p = scores[i];
            let at = ((base + i) % params.slots) * params.width + first + lid;
            sum += p;
            if (lid < QUADS) { left += p * value_quad(at); }
            if (lid + WG < QUADS) { right += p * value_quad(at + WG); }
        }
    }
    // A row without a key is padding: zeros.
    let scale = select(0.0, 1.0 / sum, sum > 0.0);
    let to = params.y_offset + (token * params.heads + head) * QUADS + lid;
    if (lid < QUADS) { y[to] = left * scale; }
    if (lid + WG < QUADS) { y[to + WG] = right * scale; }
}
