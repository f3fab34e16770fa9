// y = RMS(x) over each head: a workgroup a head of a token.
#import reduce

struct Params { quads: u32, heads: u32, eps: f32, stride: u32, offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, lane: Lane) {
    let at = params.offset + wg.y * params.stride + wg.x * params.quads;
    let to = (wg.y * params.heads + wg.x) * params.quads;
    var sum = 0.0;
    for (var i = lane.id; i < params.quads; i += WG) {
        sum += dot(x[at + i], x[at + i]);
    }
    let scale = inverseSqrt(reduce_add(sum, lane) / f32(4u * params.quads) + params.eps);
    for (var i = lane.id; i < params.quads; i += WG) {
        y[to + i] = x[at + i] * scale;
    }
}
