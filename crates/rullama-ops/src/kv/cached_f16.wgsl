// Caches of packed halves.
#if runs
@group(0) @binding(_) var<storage, read> k: array<vec4<u32>>;
@group(0) @binding(_) var<storage, read> v: array<vec4<u32>>;

fn eight(x: vec4<u32>) -> mat2x4<f32> {
    return mat2x4<f32>(vec4<f32>(unpack2x16float(x.x), unpack2x16float(x.y)), vec4<f32>(unpack2x16float(x.z), unpack2x16float(x.w)));
}
fn key_run(at: u32) -> mat2x4<f32> { return eight(k[at]); }
fn value_run(at: u32) -> mat2x4<f32> { return eight(v[at]); }
#else
@group(0) @binding(_) var<storage, read> k: array<vec2<u32>>;
@group(0) @binding(_) var<storage, read> v: array<vec2<u32>>;

fn four(x: vec2<u32>) -> vec4<f32> { return vec4<f32>(unpack2x16float(x.x), unpack2x16float(x.y)); }
fn key_quad(at: u32) -> vec4<f32> { return four(k[at]); }
fn value_quad(at: u32) -> vec4<f32> { return four(v[at]); }
#endif
