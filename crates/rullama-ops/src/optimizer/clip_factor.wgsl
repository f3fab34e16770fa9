// The norm of all parts, and the factor that brings it down to what is allowed.

@group(0) @binding(_) var<storage, read> parts: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> settings: array<f32>;
@group(0) @binding(_) var<storage, read_write> result: array<vec4<f32>>;

const CLIP = 9u;

@compute @workgroup_size(1)
fn main() {
    var most = 0.0;
    var bad = 0.0;
    for (var i = 0u; i < PARTS; i++) {
        most = max(most, parts[i].x);
        bad += parts[i].z;
    }
    var sum = 0.0;
    if (most > 0.0) {
        for (var i = 0u; i < PARTS; i++) {
            let r = parts[i].x / most;
            sum += parts[i].y * r * r;
        }
    }
    let root = sqrt(sum);
    // 0x7f7fffff is the largest f32: beyond it the norm is told as infinity.
    let over = most > 0.0 && root > bitcast<f32>(0x7f7fffffu) / most;
    let ok = bad == 0.0 && !over;
    // Infinity has no literal: its bits come from a value that the compiler does not know.
    let infinity = bitcast<f32>(0x7f800000u | (bitcast<u32>(bad) & 0u));
    let norm = select(infinity, most * root, ok);
    var factor = 1.0;
    if (settings[CLIP] > 0.0) { factor = min(1.0, settings[CLIP] / (norm + 1e-6)); }
    result[0] = vec4<f32>(norm, select(0.0, factor, ok), select(0.0, 1.0, ok), 0.0);
}
