// Caches of f32: four values an element.
@group(0) @binding(_) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> v: array<vec4<f32>>;

#if runs
fn key_run(at: u32) -> mat2x4<f32> { return mat2x4<f32>(k[2u * at], k[2u * at + 1u]); }
fn value_run(at: u32) -> mat2x4<f32> { return mat2x4<f32>(v[2u * at], v[2u * at + 1u]); }
#else
fn key_quad(at: u32) -> vec4<f32> { return k[at]; }
fn value_quad(at: u32) -> vec4<f32> { return v[at]; }
#endif
