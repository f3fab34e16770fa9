// x in codes of 8 bits, a group of 32 values an invocation.
#import group_codes

struct Params {
    x_offset: u32,
    x_stride: u32,
    // Groups a row, and in all.
    groups: u32,
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> codes: array<vec4<u32>>;
@group(0) @binding(_) var<storage, read_write> scales: array<vec2<u32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) wgs: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let at = (wg.y * wgs.x + wg.x) * WG + lid;
    if (at >= params.count) { return; }
    let first = params.x_offset + at / params.groups * params.x_stride + at % params.groups * 8u;
    var bits = 0u;
#repeat j 8
    let x{j} = x[first + {j}u];
    bits = max(bits, most_bits(x{j}));
#end
    let scale = group_scale(bits);
#repeat j 8
    let q{j} = group_codes(x{j}, scale);
#end
    codes[2u * at] = vec4<u32>(pack4xI8(q0), pack4xI8(q1), pack4xI8(q2), pack4xI8(q3));
    codes[2u * at + 1u] = vec4<u32>(pack4xI8(q4), pack4xI8(q5), pack4xI8(q6), pack4xI8(q7));
    let lo = q0 + q1 + q2 + q3;
    let hi = q4 + q5 + q6 + q7;
    scales[at] = group_words(scale, lo.x + lo.y + lo.z + lo.w, hi.x + hi.y + hi.z + hi.w);
}
