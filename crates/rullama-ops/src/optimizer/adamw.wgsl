// An update of AdamW, a quad an invocation.

struct Params { quads: u32, first: u32, g_offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> settings: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> clip: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> theta: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> m: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> v: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let i = params.first + wg.x * WG + lid;
    if (i >= params.quads || clip[0].z == 0.0) { return; }
    // lr, beta1, 1 - beta1, beta2; 1 - beta2, eps, 1 - lr wd, 1 - beta1^k; 1 - beta2^k, clip.
    let a = settings[0];
    let b = settings[1];
    let c = settings[2];
    let d = g[params.g_offset + i] * clip[0].y;
    let mean = a.y * m[i] + a.z * d;
    let square = a.w * v[i] + b.x * d * d;
    m[i] = mean;
    v[i] = square;
    theta[i] = theta[i] * b.z - a.x * (mean / b.w) / (sqrt(square / c.x) + b.y);
}
