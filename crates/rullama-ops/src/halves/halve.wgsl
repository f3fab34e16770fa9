// x in halves, a group of 32 values an invocation.

struct Params {
    x_offset: u32,
    x_stride: u32,
    // Groups a row, and in all.
    groups: u32,
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> halves: array<vec4<u32>>;
@group(0) @binding(_) var<storage, read_write> scales: array<u32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) wgs: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let at = (wg.y * wgs.x + wg.x) * WG + lid;
    if (at >= params.count) { return; }
    let first = params.x_offset + at / params.groups * params.x_stride + at % params.groups * 8u;
    var bits = vec4<u32>();
#repeat j 8
    let x{j} = x[first + {j}u];
    // Bits of magnitudes are in the order of the magnitudes, and those of no numbers above all others.
    bits = max(bits, bitcast<vec4<u32>>(x{j}) & vec4<u32>(0x7fffffffu));
#end
    let most = max(max(bits.x, bits.y), max(bits.z, bits.w));
    let finite = most < 0x7f800000u;
    // The largest comes to 2^14 or more, and less than 2^15.
    let exponent = max(most >> 23u, LEAST);
    let factor = bitcast<f32>(select(0u, 268u - exponent, finite) << 23u);
#repeat j 8
    let y{j} = select(vec4<f32>(), x{j}, finite) * factor;
    let h{j} = vec2<u32>(pack2x16float(y{j}.xy), pack2x16float(y{j}.zw));
#end
    halves[4u * at] = vec4<u32>(h0, h1);
    halves[4u * at + 1u] = vec4<u32>(h2, h3);
    halves[4u * at + 2u] = vec4<u32>(h4, h5);
    halves[4u * at + 3u] = vec4<u32>(h6, h7);
    scales[at] = select(0x7fc00000u, (exponent - 14u) << 23u, finite);
}
