// D = sum of dO O over each head of each token: a workgroup each.
#import reduce

struct Params { heads: u32, quads: u32, y_stride: u32, y_offset: u32, dy_stride: u32, dy_offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> delta: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, lane: Lane) {
    let first = wg.x * params.quads;
    var sum = 0.0;
    for (var i = first + lane.id; i < first + params.quads; i += WG) {
        sum += dot(dy[params.dy_offset + wg.y * params.dy_stride + i], y[params.y_offset + wg.y * params.y_stride + i]);
    }
    sum = reduce_add(sum, lane);
    if (lane.id == 0u) { delta[wg.y * params.heads + wg.x] = sum; }
}
