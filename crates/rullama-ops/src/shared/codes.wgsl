// Values that a workgroup makes, quad by quad, as codes of 8 bits: see the operation `quantise`, which defines them.
// Needs const WG, a multiple of 8. Eight neighbouring invocations hold a group.
@group(0) @binding(_) var<storage, read_write> y_codes: array<u32>;
@group(0) @binding(_) var<storage, read_write> y_scales: array<vec2<u32>>;

var<workgroup> codes_most: array<u32, WG>;
var<workgroup> codes_sums: array<i32, WG>;

// Quad `at` of all; every invocation must call, `stored` or not, with neighbouring quads in neighbouring invocations.
fn store_codes(at: u32, value: vec4<f32>, stored: bool, lid: u32) {
    // Bits of magnitudes are in the order of the magnitudes, and those of no numbers are above all others.
    let magnitudes = bitcast<vec4<u32>>(value) & vec4<u32>(0x7fffffffu);
    codes_most[lid] = max(max(magnitudes.x, magnitudes.y), max(magnitudes.z, magnitudes.w));
    workgroupBarrier();
    let first = lid & ~7u;
    var bits = codes_most[first];
    for (var i = 1u; i < 8u; i++) { bits = max(bits, codes_most[first + i]); }
    let finite = bits < 0x7f800000u;
    let used = finite && bits > 0x0d800000u;
    let largest = bitcast<f32>(select(0x3f800000u, bits, used));
    let q = vec4<i32>(round(select(vec4<f32>(), value, used) * (127.0 / largest)));
    codes_sums[lid] = q.x + q.y + q.z + q.w;
    workgroupBarrier();
    if (stored) {
        y_codes[at] = pack4xI8(q);
        if (lid == first) {
            let low = codes_sums[first] + codes_sums[first + 1u] + codes_sums[first + 2u] + codes_sums[first + 3u];
            let high = codes_sums[first + 4u] + codes_sums[first + 5u] + codes_sums[first + 6u] + codes_sums[first + 7u];
            let d = bitcast<u32>(select(0.0, largest * (1.0 / 127.0), used));
            y_scales[at >> 3u] = vec2<u32>(select(0x7fc00000u, d, finite), pack2x16float(vec2<f32>(vec2<i32>(low, high))));
        }
    }
    // Before the next quads' magnitudes are written.
    workgroupBarrier();
}
