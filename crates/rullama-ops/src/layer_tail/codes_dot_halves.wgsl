// The sum of a group's 32 products, where each half of what is multiplied has a scale of its own.
fn codes_dot_halves(w: Codes, x: Halves) -> f32 {
    let lo = dot4I8Packed(w.lo.x, x.lo.x) + dot4I8Packed(w.lo.y, x.lo.y) + dot4I8Packed(w.lo.z, x.lo.z) + dot4I8Packed(w.lo.w, x.lo.w);
    let hi = dot4I8Packed(w.hi.x, x.hi.x) + dot4I8Packed(w.hi.y, x.hi.y) + dot4I8Packed(w.hi.z, x.hi.z) + dot4I8Packed(w.hi.w, x.hi.w);
    if (CODES_ONE_SCALE) {
        return w.s.x * dot(x.d, vec2<f32>(f32(lo), f32(hi))) + w.s.z * dot(x.d, x.sums);
    }
    return dot(w.s.xy * x.d, vec2<f32>(f32(lo), f32(hi))) + dot(w.s.zw * x.d, x.sums);
}
