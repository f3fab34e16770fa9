// x in codes of 8 bits, a group of 32 values an invocation: d = max |x| / 127, codes x / d rounded, ties to even.
// A group below 2^-100 is zeros; one with a value that is infinite or no number has a d that is no number.
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
    // Bits of magnitudes are in the order of the magnitudes, and those of no numbers are above all others.
    var most = vec4<u32>();
#repeat j 8
    let x{j} = x[first + {j}u];
    most = max(most, bitcast<vec4<u32>>(x{j}) & vec4<u32>(0x7fffffffu));
#end
    let bits = max(max(most.x, most.y), max(most.z, most.w));
    let finite = bits < 0x7f800000u;
    let used = finite && bits > 0x0d800000u;
    let largest = bitcast<f32>(select(0x3f800000u, bits, used));
    let factor = select(0.0, 127.0 / largest, used);
#repeat j 8
    let q{j} = vec4<i32>(round(select(vec4<f32>(), x{j}, used) * factor));
#end
#repeat j 8
    let c{j} = pack4xI8(q{j});
#end
    codes[2u * at] = vec4<u32>(c0, c1, c2, c3);
    codes[2u * at + 1u] = vec4<u32>(c4, c5, c6, c7);
    let lo = q0 + q1 + q2 + q3;
    let hi = q4 + q5 + q6 + q7;
    let sums = vec2<f32>(vec2<i32>(lo.x + lo.y + lo.z + lo.w, hi.x + hi.y + hi.z + hi.w));
    let d = bitcast<u32>(select(0.0, largest * (1.0 / 127.0), used));
    scales[at] = vec2<u32>(select(0x7fc00000u, d, finite), pack2x16float(sums));
}
