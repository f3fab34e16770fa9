// Sums of squares of a row in PARTS parts: the largest magnitude and the sum relative to it. A workgroup a part.

struct Params { quads: u32, offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> x: array<vec4<f32>>;
#if before
@group(0) @binding(_) var<storage, read> before: array<vec4<f32>>;
#endif
@group(0) @binding(_) var<storage, read_write> after: array<vec4<f32>>;

// Largest magnitude, sum of (x / largest)^2, values that are not finite.
var<workgroup> sums: array<vec3<f32>, WG>;

// Two sums of squares as one. Both magnitudes are finite.
fn joined(a: vec3<f32>, b: vec3<f32>) -> vec3<f32> {
    let most = max(a.x, b.x);
    if (most == 0.0) { return vec3<f32>(0.0, 0.0, a.z + b.z); }
    let ra = a.x / most;
    let rb = b.x / most;
    return vec3<f32>(most, a.y * ra * ra + b.y * rb * rb, a.z + b.z);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    var sum = vec3<f32>(0.0);
    for (var i = wg.x * WG + lid; i < params.quads; i += PARTS * WG) {
        let v = x[params.offset + i];
        // By its bits: some drivers take no value for one that is not finite.
        let bad = (bitcast<vec4<u32>>(v) & vec4<u32>(0x7f800000u)) == vec4<u32>(0x7f800000u);
        let a = abs(select(v, vec4<f32>(0.0), bad));
        let most = max(max(a.x, a.y), max(a.z, a.w));
        var quad = vec3<f32>(0.0, 0.0, dot(select(vec4<f32>(0.0), vec4<f32>(1.0), bad), vec4<f32>(1.0)));
        if (most > 0.0) {
            let r = a / most;
            quad = vec3<f32>(most, dot(r, r), quad.z);
        }
        sum = joined(sum, quad);
    }
    sums[lid] = sum;
    for (var span = WG / 2u; span > 0u; span /= 2u) {
        workgroupBarrier();
        if (lid < span) { sums[lid] = joined(sums[lid], sums[lid + span]); }
    }
    if (lid == 0u) {
        var all = sums[0];
#if before
        all = joined(before[wg.x].xyz, all);
#endif
        after[wg.x] = vec4<f32>(all, 0.0);
    }
}
