// y = softmax(q K^T) V for one head of one token in a workgroup: a tile of WG keys at a time, an invocation a score, then an
// invocation up to two quads of the output. The maximum so far is kept, and what was summed under an older one is scaled down.
#import math
#import seen

@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;
#if sums
@group(0) @binding(_) var<storage, read_write> lse: array<f32>;
#endif

const LOWEST = -3.0e38;

var<workgroup> scores: array<f32, WG>;

fn score(row: u32, j: u32, head: u32) -> f32 {
    var sum = 0.0;
    for (var i = 0u; i < QUADS; i++) { sum += dot(query(row, head, i), key(j, head, i)); }
    return sum;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let head = wg.x;
    let row = wg.y;
    let start = first_key(row);
    let end = last_key(row) + 1u;
    var best = LOWEST;
    var sum = 0.0;
    var near = vec4<f32>(0.0);
    var far = vec4<f32>(0.0);
    for (var base = start; base < end; base += WG) {
        let count = min(WG, end - base);
        var mine = LOWEST;
        if (lid < count) { mine = score(row, base + lid, head); }
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
        near *= fade;
        far *= fade;
        for (var i = 0u; i < count; i++) {
            let p = scores[i];
            sum += p;
            if (lid < QUADS) { near += p * value(base + i, head, lid); }
            if (lid + WG < QUADS) { far += p * value(base + i, head, lid + WG); }
        }
    }
    // A row that sees nothing is padding: zeros.
    let real = start != NONE;
    let scale = select(0.0, 1.0 / sum, real);
    let to = (row * params.heads + head) * QUADS + lid;
    if (lid < QUADS) { y[to] = near * scale; }
    if (lid + WG < QUADS) { y[to + WG] = far * scale; }
#if sums
    if (lid == 0u) { lse[row * params.heads + head] = select(0.0, best + log(sum), real); }
#endif
}
