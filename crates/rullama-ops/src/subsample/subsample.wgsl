// A 3 x 3 convolution with stride 2 over time and frequency, layer norm over its channels, ReLU: a workgroup a place of the output,
// an invocation a quad of channels.
struct Params {
    places: u32, rows: u32, bins: u32, inner: u32,
    stride: u32, offset: u32,
    w_stride: u32, w_offset: u32,
    norm_offset: u32,
    eps: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> x: array<f32>;
@group(0) @binding(_) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> norm: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;

var<workgroup> channels: array<vec4<f32>, QUADS>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let place = wg.y * groups.x + wg.x;
    if (place >= params.places) { return; }
    let wide = (params.bins + 1u) / 2u;
    let t = place / wide;
    let f = place % wide;
    for (var quad = lid; quad < QUADS; quad += WG) {
        var sum = vec4<f32>(0.0);
        for (var tap = 0u; tap < 9u; tap++) {
            // One more than the row and bin, so that the padding before the first is 0.
            let row = 2u * t + tap / 3u;
            let bin = 2u * f + tap % 3u;
            if (row >= 1u && row <= params.rows && bin >= 1u && bin <= params.bins) {
                let start = params.offset + (row - 1u) * params.stride + (bin - 1u) * params.inner;
                let weights = params.w_offset + tap * params.inner * params.w_stride + quad;
                for (var c = 0u; c < params.inner; c++) { sum += x[start + c] * w[weights + c * params.w_stride]; }
            }
        }
        channels[quad] = sum;
    }
    workgroupBarrier();
    var total = 0.0;
    for (var i = 0u; i < QUADS; i++) { total += dot(channels[i], vec4<f32>(1.0)); }
    let mean = vec4<f32>(total / f32(4u * QUADS));
    var squares = 0.0;
    for (var i = 0u; i < QUADS; i++) {
        let v = channels[i] - mean;
        squares += dot(v, v);
    }
    let scale = inverseSqrt(squares / f32(4u * QUADS) + params.eps);
    for (var quad = lid; quad < QUADS; quad += WG) {
        let v = (channels[quad] - mean) * scale * norm[params.norm_offset + quad];
        // A NaN must get through, which max may hide, so it is told by its bits.
        let bad = (bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
        y[place * QUADS + quad] = select(max(v, vec4<f32>(0.0)), v, bad);
    }
}
