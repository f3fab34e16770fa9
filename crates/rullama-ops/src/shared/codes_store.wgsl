// Values that a workgroup makes, quad by quad, as codes of 8 bits. Needs const WG, a multiple of 8. Eight neighbouring invocations
// hold a group: with `shuffles` in one subgroup, else through workgroup memory.
#import group_codes
@group(0) @binding(_) var<storage, read_write> y_codes: array<u32>;
@group(0) @binding(_) var<storage, read_write> y_scales: array<vec2<u32>>;

// Quad `at` of all; every invocation must call, `stored` or not, with neighbouring quads in neighbouring invocations.
#if shuffles
fn store_codes(at: u32, value: vec4<f32>, stored: bool, lid: u32) {
    var bits = most_bits(value);
    bits = max(bits, subgroupShuffleXor(bits, 1u));
    bits = max(bits, subgroupShuffleXor(bits, 2u));
    bits = max(bits, subgroupShuffleXor(bits, 4u));
    let scale = group_scale(bits);
    let q = group_codes(value, scale);
    // Of the half that the quad is in.
    var sum = q.x + q.y + q.z + q.w;
    sum += subgroupShuffleXor(sum, 1u);
    sum += subgroupShuffleXor(sum, 2u);
    let other = subgroupShuffleXor(sum, 4u);
    if (stored) {
        y_codes[at] = pack4xI8(q);
        if (lid % 8u == 0u) { y_scales[at >> 3u] = group_words(scale, sum, other); }
    }
}
#else
var<workgroup> codes_most: array<u32, WG>;
var<workgroup> codes_sums: array<i32, WG>;

fn store_codes(at: u32, value: vec4<f32>, stored: bool, lid: u32) {
    codes_most[lid] = most_bits(value);
    workgroupBarrier();
    let first = lid & ~7u;
    var bits = codes_most[first];
    for (var i = 1u; i < 8u; i++) { bits = max(bits, codes_most[first + i]); }
    let scale = group_scale(bits);
    let q = group_codes(value, scale);
    codes_sums[lid] = q.x + q.y + q.z + q.w;
    workgroupBarrier();
    if (stored) {
        y_codes[at] = pack4xI8(q);
        if (lid == first) {
            let low = codes_sums[first] + codes_sums[first + 1u] + codes_sums[first + 2u] + codes_sums[first + 3u];
            let high = codes_sums[first + 4u] + codes_sums[first + 5u] + codes_sums[first + 6u] + codes_sums[first + 7u];
            y_scales[at >> 3u] = group_words(scale, low, high);
        }
    }
    // Before the next quads' magnitudes are written.
    workgroupBarrier();
}
#endif
