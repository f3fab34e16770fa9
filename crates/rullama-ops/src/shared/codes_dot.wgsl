// The sum of a group's 32 products.
fn codes_dot(w: Codes, x: Given) -> f32 {
    let lo = dot4I8Packed(w.lo.x, x.lo.x) + dot4I8Packed(w.lo.y, x.lo.y) + dot4I8Packed(w.lo.z, x.lo.z) + dot4I8Packed(w.lo.w, x.lo.w);
    let hi = dot4I8Packed(w.hi.x, x.hi.x) + dot4I8Packed(w.hi.y, x.hi.y) + dot4I8Packed(w.hi.z, x.hi.z) + dot4I8Packed(w.hi.w, x.hi.w);
    if (CODES_ONE_SCALE) {
        return x.d * (w.s.x * f32(lo + hi) + w.s.z * (x.sums.x + x.sums.y));
    }
    return x.d * (dot(w.s.xy, vec2<f32>(f32(lo), f32(hi))) + dot(w.s.zw, x.sums));
}
