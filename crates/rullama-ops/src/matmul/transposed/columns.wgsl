// y = [acc +] g W without barriers: an invocation forms COLS tokens x QUADS neighbouring quads of columns (1, or the 8 of a group),
// a row of the weight after the other, each decoded once for all of its tokens.
#import product
#import weight

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let unit = wg.x * WG + lid;
    let token = wg.y * COLS;
    if (unit * QUADS >= 8u * params.groups) { return; }
    let begin = wg.z * params.share;
    let end = min(begin + params.share, params.rows);
#repeat c COLS
    let g{c}_row = params.g_offset + min(token + {c}u, params.tokens - 1u) * params.g_stride;
#repeat q QUADS
    var sum{c}_{q} = vec4<f32>();
#end
#end
    for (var k = begin; k < end; k++) {
#if group
        let w = decode_group(planes(), row_at(k) + unit);
#else
        let w = array<vec4<f32>, 1>(decode4(planes(), row_at(k) + (unit >> 3u), unit & 7u));
#endif
#repeat c COLS
        let g{c} = g[g{c}_row + k];
#repeat q QUADS
        sum{c}_{q} += g{c} * w[{q}];
#end
#end
    }
#repeat c COLS
#repeat q QUADS
    put(wg.z, token + {c}u, unit * QUADS + {q}u, sum{c}_{q});
#end
#end
}
