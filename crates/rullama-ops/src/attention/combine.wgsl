// Joins the shares of `decode`: each is weighted by exp(its maximum - the largest maximum).
// A workgroup COLUMNS quads of a head's output, in STREAMS streams of shares.
#import reduce
#import math
#import span

struct Params { heads: u32, window: u32, splits: u32, y_offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> parts: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> state: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

const COLUMNS = 16u;
const STREAMS = WG / COLUMNS;

var<workgroup> weights: array<f32, WG>;
var<workgroup> sums: array<vec4<f32>, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, lane: Lane) {
    let lid = lane.id;
    let row = wg.z * params.heads + wg.x;
    let span = span_of(wg.z, state[POSITION], state[TOKENS], params.window, params.splits);
    let shares = (span.count + span.share - 1u) / span.share;
    let first = row * params.splits * (QUADS + 1u);
    var mine = vec4<f32>(LOWEST, 0.0, 0.0, 0.0);
    if (lid < shares) { mine = parts[first + lid * (QUADS + 1u)]; }
    let best = reduce_max(mine.x, lane);
    let weight = safe_exp(mine.x - best);
    weights[lid] = weight;
    let total = reduce_add(weight * mine.y, lane);
    let quad = wg.y * COLUMNS + lid % COLUMNS;
    var x = vec4<f32>(0.0);
    if (quad < QUADS) {
        for (var i = lid / COLUMNS; i < shares; i += STREAMS) { x += weights[i] * parts[first + i * (QUADS + 1u) + 1u + quad]; }
    }
    sums[lid] = x;
    workgroupBarrier();
    if (lid >= COLUMNS || quad >= QUADS) { return; }
    for (var i = 1u; i < STREAMS; i++) { x += sums[i * COLUMNS + lid]; }
    // A row without a key is padding: zeros.
    y[params.y_offset + row * QUADS + quad] = x * select(0.0, 1.0 / total, shares > 0u);
}
