// Caches in 8 bits: the codes of all slots, eight an element, then a half for each block of 32 values, four an element.
// The kernel gives slot_runs(): runs of eight values in a slot.
@group(0) @binding(_) var<storage, read> k: array<vec2<u32>>;
@group(0) @binding(_) var<storage, read> v: array<vec2<u32>>;

// The scale of `block` among those of its element.
fn scale_among(four: vec2<u32>, block: u32) -> f32 {
    let two = unpack2x16float(select(four.x, four.y, (block & 2u) != 0u));
    return select(two.x, two.y, (block & 1u) != 0u);
}
// Where the scale of `block` stands.
fn scales_at(block: u32) -> u32 { return params.slots * slot_runs() + block / 4u; }

#if runs
fn eight(x: vec2<u32>, scale: f32) -> mat2x4<f32> {
    return mat2x4<f32>(scale * vec4<f32>(unpack4xI8(x.x)), scale * vec4<f32>(unpack4xI8(x.y)));
}
fn key_run(at: u32) -> mat2x4<f32> { return eight(k[at], scale_among(k[scales_at(at / 4u)], at / 4u)); }
fn value_run(at: u32) -> mat2x4<f32> { return eight(v[at], scale_among(v[scales_at(at / 4u)], at / 4u)); }
#else
fn four(x: vec2<u32>, at: u32, scale: f32) -> vec4<f32> { return scale * vec4<f32>(unpack4xI8(select(x.x, x.y, (at & 1u) != 0u))); }
fn key_quad(at: u32) -> vec4<f32> { return four(k[at / 2u], at, scale_among(k[scales_at(at / 8u)], at / 8u)); }
fn value_quad(at: u32) -> vec4<f32> { return four(v[at / 2u], at, scale_among(v[scales_at(at / 8u)], at / 8u)); }
#endif
