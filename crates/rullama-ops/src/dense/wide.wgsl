// Short sums to many columns: an invocation forms TOKENS tokens x 4 columns, term after term. No barriers.
#import operands

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) wgs: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let column = wg.x * WG + lid;
    let token = (wg.z * wgs.y + wg.y) * TOKENS;
    if (4u * column >= params.n || token >= params.tokens) { return; }
#repeat t TOKENS
    var sum{t} = vec4<f32>();
#end
    for (var quad = 0u; 4u * quad < params.k; quad++) {
        let b = block(quad, column);
#repeat t TOKENS
        sum{t} += product(x4(token + {t}u, quad), b);
#end
    }
#repeat t TOKENS
    put4(token + {t}u, column, sum{t});
#end
}
