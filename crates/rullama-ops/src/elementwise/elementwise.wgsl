// y = f(a) or f(a, b), a quad an invocation.
#import math

struct Params {
    count: u32, dim: u32, number: f32,
    a_stride: u32, a_offset: u32,
#if two
    b_stride: u32, b_offset: u32,
#endif
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;
#if two
#if in_place
fn b_at(i: u32) -> vec4<f32> { return y[i]; }
#else
@group(0) @binding(_) var<storage, read> b: array<vec4<f32>>;
fn b_at(i: u32) -> vec4<f32> { return b[params.b_offset + (i / params.dim) * params.b_stride + i % params.dim]; }
#endif
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let i = (wg.y * groups.x + wg.x) * WG + lid;
    if (i >= params.count) { return; }
    let x = a[params.a_offset + (i / params.dim) * params.a_stride + i % params.dim];
#if add_scale
    y[i] = (b_at(i) + x) * params.number;
#endif
#if scale
    y[i] = x * params.number;
#endif
#if gelu_mul
    y[i] = vec4<f32>(gelu(x.x), gelu(x.y), gelu(x.z), gelu(x.w)) * b_at(i);
#endif
#if softcap
    y[i] = vec4<f32>(softcap(x.x, params.number), softcap(x.y, params.number), softcap(x.z, params.number), softcap(x.w, params.number));
#endif
}
