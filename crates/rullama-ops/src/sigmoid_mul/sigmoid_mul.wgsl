// y = a / (1 + exp(-b)), quick: y = a / (1 + exp(-1.702 a)) b; a quad an invocation.
struct Params { count: u32, dim: u32, a_stride: u32, a_offset: u32, b_stride: u32, b_offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> a: array<vec4<f32>>;
#if !squared
@group(0) @binding(_) var<storage, read> b: array<vec4<f32>>;
#endif
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;

// From exp(-|x|), which does not overflow. A NaN must get through, which min may hide, so it is told by its bits.
fn sigmoid(x: vec4<f32>) -> vec4<f32> {
    let e = exp(-min(abs(x), vec4<f32>(87.0)));
    let s = select(e, vec4<f32>(1.0), x >= vec4<f32>(0.0)) / (1.0 + e);
    return select(s, x, (bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let i = (wg.y * groups.x + wg.x) * WG + lid;
    if (i >= params.count) { return; }
    let row = i / params.dim;
    let column = i % params.dim;
    let left = a[params.a_offset + row * params.a_stride + column];
#if squared
    y[i] = left * sigmoid(left);
#else
    let right = b[params.b_offset + row * params.b_stride + column];
#if quick
    y[i] = left * sigmoid(1.702 * left) * right;
#else
    y[i] = left * sigmoid(right);
#endif
#endif
}
