// Joins the shares of `decode` and `prefill`: each is weighted by exp(its maximum - the largest maximum).
// A workgroup COLUMNS quads of a head's output, in STREAMS streams of shares.
#import reduce
#import math
#import span

struct Params { heads: u32, window: u32, splits: u32, y_offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> parts: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> state: array<u32>;
#if codes
#import codes_store
#else
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;
#endif

const STREAMS = WG / COLUMNS;

var<workgroup> weights: array<f32, WG>;
var<workgroup> sums: array<vec4<f32>, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, lane: Lane) {
    let lid = number_of(lane);
    let row = wg.z * params.heads + wg.x;
    let first = row * params.splits * (QUADS + 1u);
    let stream = lid / COLUMNS;
    let quad = wg.y * COLUMNS + lid % COLUMNS;
    // All that is read is on its way together; what no share has written is not used.
    let head = parts[first + min(lid, params.splits - 1u) * (QUADS + 1u)];
    let column = first + 1u + min(quad, QUADS - 1u);
#repeat i LOADS
    let x{i} = parts[column + min(stream + {i}u * STREAMS, params.splits - 1u) * (QUADS + 1u)];
#end
    let span = span_of(wg.z, state[POSITION], state[TOKENS], params.window, params.splits);
    let shares = (span.count + span.share - 1u) / span.share;
    let mine = select(vec2<f32>(LOWEST, 0.0), head.xy, lid < shares);
    let best = reduce_max(mine.x, lane);
    let weight = safe_exp(mine.x - best);
    weights[lid] = weight;
    let total = reduce_add(weight * mine.y, lane);
    var x = vec4<f32>(0.0);
#repeat i LOADS
    if (stream + {i}u * STREAMS < shares) { x += weights[stream + {i}u * STREAMS] * x{i}; }
#end
    sums[lid] = x;
    workgroupBarrier();
    let stored = lid < COLUMNS && quad < QUADS;
    if (stored) {
        for (var i = 1u; i < STREAMS; i++) { x += sums[i * COLUMNS + lid]; }
    }
    // A row without a key is padding: zeros.
    x *= select(0.0, 1.0 / total, shares > 0u);
#if codes
    store_codes(row * QUADS + quad, x, stored, lid);
#else
    if (stored) { y[params.y_offset + row * QUADS + quad] = x; }
#endif
}
