// Long sums to few columns: a workgroup forms TOKENS tokens x 4 COLUMNS columns; each invocation takes every WG-th quad of terms, and
// in the end their sums are added.
#import operands

const SUMS = TOKENS * COLUMNS;
const SHARE = WG / SUMS;

var<workgroup> parts: array<vec4<f32>, WG * SUMS>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) wgs: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let column = wg.x * COLUMNS;
    let token = (wg.z * wgs.y + wg.y) * TOKENS;
    // Of the whole workgroup.
    if (token >= params.tokens) { return; }
#repeat t TOKENS
#repeat c COLUMNS
    var sum{t}_{c} = vec4<f32>();
#end
#end
    for (var quad = lid; 4u * quad < params.k; quad += WG) {
#repeat t TOKENS
        let x{t} = x4(token + {t}u, quad);
#end
#repeat c COLUMNS
        let b{c} = block(quad, min(column + {c}u, (params.n - 1u) >> 2u));
#repeat t TOKENS
        sum{t}_{c} += product(x{t}, b{c});
#end
#end
    }
#repeat t TOKENS
#repeat c COLUMNS
    parts[({t}u * COLUMNS + {c}u) * WG + lid] = sum{t}_{c};
#end
#end
    workgroupBarrier();
    // SHARE lanes add up a sum, then one adds theirs.
    var share = vec4<f32>();
    for (var i = lid % SHARE; i < WG; i += SHARE) {
        share += parts[lid / SHARE * WG + i];
    }
    workgroupBarrier();
    parts[lid] = share;
    workgroupBarrier();
    if (lid < SUMS) {
        var sum = vec4<f32>();
        for (var i = 0u; i < SHARE; i++) {
            sum += parts[lid * SHARE + i];
        }
        put4(token + lid / COLUMNS, column + lid % COLUMNS, sum);
    }
}
