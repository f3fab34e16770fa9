// RMS(x) * norm: every workgroup forms the sums of squares of its tokens anew, while its first weights are on their way.
#import x
#param norm_eps: f32
@group(0) @binding(_) var<storage, read> norm: array<vec4<f32>>;

var<workgroup> squares: array<f32, WG>;
var<workgroup> sums: array<f32, WG / 8u>;

fn x_scale(row: u32, lid: u32) -> f32 {
    let quads = 8u * params.groups;
    var sum = 0.0;
    for (var i = lid; i < quads; i += WG) {
        let v = x[row + i];
        sum += dot(v, v);
    }
    squares[lid] = sum;
    // Those of the token before have been read.
    workgroupBarrier();
    if (lid < WG / 8u) {
        sum = 0.0;
        for (var i = 0u; i < 8u; i++) { sum += squares[8u * lid + i]; }
        sums[lid] = sum;
    }
    workgroupBarrier();
    var all = 0.0;
    for (var i = 0u; i < WG / 8u; i++) { all += sums[i]; }
    return inverseSqrt(all / f32(4u * quads) + params.norm_eps);
}

fn load_x(row: u32, quad: u32, scale: f32) -> vec4<f32> {
    return x[row + quad] * scale * norm[quad];
}
