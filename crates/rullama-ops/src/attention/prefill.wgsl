// A tile of 32 queries of one head against tiles of 32 keys, in 256 invocations.
// 1. scores: an invocation a key and four queries, 32 values of the head at a time through
//    workgroup memory.
// 2. weights: the running maximum of the four queries is kept by each of their invocations.
// 3. values: an invocation a quad of the output for 4, 8 or 16 queries, whose sums stay in
//    registers. Key tiles that no query of the tile sees are never visited.
// What is loaded next is on its way while the last is used: waits for memory take longer than sums.
// With `shared` a workgroup takes one share of the keys, as `decode` does, and `combine` joins them: few queries alone fill no large GPU.
#import math
#import whole

const TILE = 32u;
// Four queries each.
const FOURS = TILE / 4u;
// Quads of a head taken at a time; a row of keys is one longer, against bank conflicts.
const CUT = 8u;
const KEY_ROW = CUT + 1u;

var<workgroup> queries: array<vec4<f32>, TILE * CUT>;
var<workgroup> keys: array<vec4<f32>, TILE * KEY_ROW>;
// Scores, then weights: [key][four queries].
var<workgroup> weights: array<vec4<f32>, TILE * FOURS>;
var<workgroup> fades: array<vec4<f32>, FOURS>;

// The four queries' sums, a column each.
fn outer(x: vec4<f32>, p: vec4<f32>) -> mat4x4<f32> { return mat4x4<f32>(x * p.x, x * p.y, x * p.z, x * p.w); }
fn scaled(x: mat4x4<f32>, f: vec4<f32>) -> mat4x4<f32> { return mat4x4<f32>(x[0] * f.x, x[1] * f.y, x[2] * f.z, x[3] * f.w); }

#if shared
// The largest scores of the fours.
var<workgroup> tops: array<vec4<f32>, FOURS>;

// Where a head's record stands: (maximum, sum, 0, 0), then QUADS quads.
fn record_at(row: u32, head: u32, share: u32) -> u32 {
    return ((row * params.heads + head) * params.splits + share) * (QUADS + 1u);
}

fn store_row(row: u32, column: u32, head: u32, share: u32, real: u32, x: vec4<f32>, total: f32) {
    if (row < real) { y[record_at(row, head, share) + 1u + column] = x; }
}
#else
fn store_row(row: u32, column: u32, head: u32, share: u32, real: u32, x: vec4<f32>, total: f32) {
    if (row >= params.rows) { return; }
    // Rows beyond the step's tokens are padding: zeros.
    y[params.y_offset + (row * params.heads + head) * QUADS + column] = select(vec4<f32>(0.0), x / total, row < real);
}
#endif

fn store_four(row: u32, column: u32, head: u32, share: u32, real: u32, x: mat4x4<f32>, total: vec4<f32>) {
    store_row(row, column, head, share, real, x[0], total.x);
    store_row(row + 1u, column, head, share, real, x[1], total.y);
    store_row(row + 2u, column, head, share, real, x[2], total.z);
    store_row(row + 3u, column, head, share, real, x[3], total.w);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) wgs: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    // The last rows see most keys: they begin first.
    let first_row = (wgs.x - 1u - wg.x) * TILE;
    let head = wg.y;
    let kv_first = (head / params.shared_by) * QUADS;
    let position = state[POSITION];
    let real = min(state[TOKENS], params.rows);
    let share = wg.z;
    let span = span_of(first_row, position, real, params.window, params.splits);
    let start = span.start + share * span.share;
#if shared
    if (share * span.share >= span.count) { return; }
    let end = min(start + span.share, span.start + span.count);
#else
    // Of no row before it the end is farther.
    let end = select(0u, end_of(min(first_row + TILE, real) - 1u), first_row < real);
#endif

    // Steps 1 and 2: this invocation's key and queries of the tile; loading: row and quad.
    let key = lid % TILE;
    let four = lid / TILE;
    let load_row = lid / CUT;
    let load_quad = lid % CUT;
    let places = vec4<u32>(position + first_row + four * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
#if blocks
    let row_four = first_row + four * 4u;
    let lasts = vec4<u32>(end_of(row_four), end_of(row_four + 1u), end_of(row_four + 2u), end_of(row_four + 3u)) - vec4<u32>(1u);
#else
    let lasts = places;
#endif
    let q_at = params.q_offset + (first_row + load_row) * params.q_stride + head * QUADS + load_quad;
    // Step 3: the output quad, and the first of the FOURS / GROUPS fours of queries.
    let column = lid % QUADS;
    let group = lid / QUADS;
    let mine = (group % GROUPS) * (FOURS / GROUPS);
    var best = vec4<f32>(LOWEST);
    var total = vec4<f32>(0.0);
    var sum0 = mat4x4<f32>();
#if eight_queries
    var sum1 = mat4x4<f32>();
#endif
#if sixteen_queries
    var sum2 = mat4x4<f32>();
    var sum3 = mat4x4<f32>();
#endif
    for (var base = start; base < end; base += TILE) {
        let k_at = ((base + load_row) % params.slots) * params.width + kv_first + load_quad;
        let has_query = first_row + load_row < real;
        let has_key = base + load_row < end;
        var s = vec4<f32>(0.0);
        var x = vec4<f32>(0.0);
        var z = vec4<f32>(0.0);
        if (has_query) { x = q[q_at]; }
        if (has_key) { z = key_quad(k_at); }
        for (var cut = 0u; cut < QUADS; cut += CUT) {
            workgroupBarrier();
            queries[lid] = x;
            keys[load_row * KEY_ROW + load_quad] = z;
            workgroupBarrier();
            let next = min(cut + CUT, QUADS - CUT);
            if (has_query) { x = q[q_at + next]; }
            if (has_key) { z = key_quad(k_at + next); }
            for (var i = 0u; i < CUT; i++) {
                let b = keys[key * KEY_ROW + i];
                let a = four * 4u * CUT + i;
                s += vec4<f32>(dot(queries[a], b), dot(queries[a + CUT], b), dot(queries[a + 2u * CUT], b), dot(queries[a + 3u * CUT], b));
            }
        }
        let j = vec4<u32>(base + key);
        var seen = j <= lasts;
        if (params.window != 0u) { seen = seen & (places - min(j, places) < vec4<u32>(params.window)); }
        weights[key * FOURS + four] = select(vec4<f32>(LOWEST), s, seen);
        workgroupBarrier();
        let before = best;
        for (var i = 0u; i < TILE; i++) { best = max(best, weights[i * FOURS + four]); }
        let fade = safe_exp4(before - best);
        let p = select(vec4<f32>(0.0), safe_exp4(s - best), seen);
        total = total * fade + p;
        workgroupBarrier();
        weights[key * FOURS + four] = p;
        if (key == 0u) { fades[four] = fade; }
        workgroupBarrier();
        if (group < GROUPS) {
            sum0 = scaled(sum0, fades[mine]);
#if eight_queries
            sum1 = scaled(sum1, fades[mine + 1u]);
#endif
#if sixteen_queries
            sum2 = scaled(sum2, fades[mine + 2u]);
            sum3 = scaled(sum3, fades[mine + 3u]);
#endif
            let count = min(TILE, end - base);
            let slot = base % params.slots;
            // Keys beyond the last weigh nothing.
            for (var i = 0u; i < count; i += 4u) {
#repeat t 4
                let slot{t} = slot + min(i + {t}u, count - 1u);
                let x{t} = value_quad(select(slot{t}, slot{t} - params.slots, slot{t} >= params.slots) * params.width + kv_first + column);
#end
#repeat t 4
                {
                    let at = (i + {t}u) * FOURS + mine;
                    sum0 += outer(x{t}, weights[at]);
#if eight_queries
                    sum1 += outer(x{t}, weights[at + 1u]);
#endif
#if sixteen_queries
                    sum2 += outer(x{t}, weights[at + 2u]);
                    sum3 += outer(x{t}, weights[at + 3u]);
#endif
                }
#end
            }
        }
    }
    // The sums of the weights, over the 32 keys of each invocation's column.
    workgroupBarrier();
    weights[lid] = total;
#if shared
    if (key == 0u) { tops[four] = best; }
#endif
    workgroupBarrier();
    if (lid < FOURS) {
        var x = weights[lid * TILE];
        for (var i = 1u; i < TILE; i++) { x += weights[lid * TILE + i]; }
        fades[lid] = x;
    }
    workgroupBarrier();
#if shared
    if (lid < TILE && first_row + lid < real) {
        y[record_at(first_row + lid, head, share)] = vec4<f32>(tops[lid / 4u][lid % 4u], fades[lid / 4u][lid % 4u], 0.0, 0.0);
    }
#endif
    if (group >= GROUPS) { return; }
    let row = first_row + mine * 4u;
    store_four(row, column, head, share, real, sum0, fades[mine]);
#if eight_queries
    store_four(row + 4u, column, head, share, real, sum1, fades[mine + 1u]);
#endif
#if sixteen_queries
    store_four(row + 8u, column, head, share, real, sum2, fades[mine + 2u]);
    store_four(row + 12u, column, head, share, real, sum3, fades[mine + 3u]);
#endif
}
