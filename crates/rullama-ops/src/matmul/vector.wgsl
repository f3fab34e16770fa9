// y = x W^T for few tokens: a team of TEAM lanes forms ROWS neighbouring rows for COLS tokens:
// SETS sets of SIDES rows, a set being gate and up row of one value, or a single row.
// Lane l takes groups l, l + TEAM, ... of 32 weights, decodes each once and multiplies it with
// every token; in the end the lanes' sums are added. UNROLL groups of a lane are taken together,
// so that their loads are under way at once; where groups is no multiple of TEAM * UNROLL, the last is taken again for nothing.
// Where a team is one lane and loads are dear (CPUs take the lanes' one after the other), BESIDE lanes of a subgroup load other quads
// of a token's group, and pass them on.
#import math
#import product
#import weight
#if int8
#import codes
#endif

const ROWS = SETS * SIDES;
const TEAMS = WG / TEAM;
// Of (row, token), at row * COLS + token.
const SUMS = ROWS * COLS;
#import team

#if codes
// Values of a workgroup, whole groups, token after token.
const VALUES = TEAMS * SETS;
var<workgroup> made: array<f32, COLS * VALUES>;

fn put(row: u32, token: u32, even: f32, odd: f32) {
    made[token % COLS * VALUES + row / SIDES % VALUES] = finish(even, odd, token, (params.first_row + row) / SIDES);
}
#endif

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) wgs: vec3<u32>,
#if subgroups
    @builtin(subgroup_id) sg: u32,
    @builtin(subgroup_size) sg_size: u32,
    @builtin(subgroup_invocation_id) sg_lane: u32,
#else
    @builtin(local_invocation_index) lid: u32,
#endif
) {
#if subgroups
    let lid = sg * sg_size + sg_lane;
#endif
    let team = lid / TEAM;
#if beside
    // As a constant: lanes pass on where control flow is seen to be uniform.
    let lane = 0u;
#else
    let lane = lid % TEAM;
#endif
    let row = ((wg.y * wgs.x + wg.x) * TEAMS + team) * ROWS;
    let token = wg.z * COLS;

    // Past the end the last row or token is computed again, so that every lane stays; put()
    // drops it.
#repeat s SETS
#repeat r SIDES
    let w{s}{r}_at = row_at(row + {s}u * SIDES + {r}u);
#end
#end
#repeat c COLS
    let x{c}_row = x_row(min(token + {c}u, params.tokens - 1u));
#if scaled
    let x{c}_scale = x_scale(x{c}_row, lid);
#endif
#end
#repeat s SETS
#repeat r SIDES
#repeat c COLS
#if int8
    var acc{s}{r}_{c} = 0.0;
#else
    var acc{s}{r}_{c} = vec4<f32>();
#endif
#end
#end
#end
    for (var first = lane; first < params.groups; first += TEAM * UNROLL) {
#repeat u UNROLL
#if ragged
        let g{u} = min(first + {u}u * TEAM, params.groups - 1u);
#else
        let g{u} = first + {u}u * TEAM;
#endif
#repeat s SETS
#repeat r SIDES
#if int8
        let w{u}_{s}{r} = codes_group(planes(), w{s}{r}_at + g{u});
#else
        let w{u}_{s}{r} = decode_group(planes(), w{s}{r}_at + g{u});
#endif
#end
#end
#repeat c COLS
#if int8
        let x{u}_{c} = load_codes(x{c}_row, g{u});
#repeat s SETS
#repeat r SIDES
#if ragged
        acc{s}{r}_{c} += select(0.0, codes_dot(w{u}_{s}{r}, x{u}_{c}), first + {u}u * TEAM < params.groups);
#else
        acc{s}{r}_{c} += codes_dot(w{u}_{s}{r}, x{u}_{c});
#endif
#end
#end
#else
#if beside
#repeat q QUADS
        let x{u}_{c}_{q} = x[x{c}_row + 8u * g{u} + {q}u * BESIDE + sg_lane % BESIDE];
#repeat l BESIDE
        {
            let quad = subgroupBroadcast(x{u}_{c}_{q}, {l}u);
#repeat s SETS
#repeat r SIDES
            acc{s}{r}_{c} += w{u}_{s}{r}[{q}u * BESIDE + {l}u] * quad;
#end
#end
        }
#end
#end
#else
#repeat j 8
#if plain
        // Not load_x(): what compilers make of the call is a sixth slower for long rows.
        let x{u}_{c}_{j} = x[x{c}_row + 8u * g{u} + {j}u];
#else
#if scaled
        let x{u}_{c}_{j} = load_x(x{c}_row, 8u * g{u} + {j}u, x{c}_scale);
#else
        let x{u}_{c}_{j} = load_x(x{c}_row, 8u * g{u} + {j}u, 1.0);
#endif
#endif
#end
#repeat s SETS
#repeat r SIDES
#repeat j 8
        acc{s}{r}_{c} += w{u}_{s}{r}[{j}] * x{u}_{c}_{j};
#end
#end
#end
#endif
#endif
#end
#end
    }

#repeat s SETS
#repeat r SIDES
#repeat c COLS
#if int8
    let sum{s}{r}_{c} = lanes_sum(vec4<f32>(acc{s}{r}_{c}, 0.0, 0.0, 0.0));
#else
    let sum{s}{r}_{c} = lanes_sum(acc{s}{r}_{c});
#endif
#end
#end
#end
#if split
    if (lid % LANES == 0u) {
#repeat s SETS
#repeat r SIDES
#repeat c COLS
        parts[(({s}u * SIDES + {r}u) * COLS + {c}u) * (WG / LANES) + lid / LANES] = sum{s}{r}_{c};
#end
#end
#end
    }
    workgroupBarrier();
    for (var v = lane; v < SETS * COLS; v += TEAM) {
        let first = v / COLS * SIDES;
        let c = v % COLS;
#if pairs
        put(row + first, token + c, part_sum(first * COLS + c, team), part_sum((first + 1u) * COLS + c, team));
#else
        put(row + first, token + c, part_sum(first * COLS + c, team));
#endif
    }
#else
    if (lane == 0u) {
#repeat s SETS
#repeat c COLS
#if pairs
        put(row + {s}u * SIDES, token + {c}u, sum{s}0_{c}, sum{s}1_{c});
#else
        put(row + {s}u, token + {c}u, sum{s}0_{c});
#endif
#end
#end
    }
#endif
#if codes
    workgroupBarrier();
    let first_value = (params.first_row + (wg.y * wgs.x + wg.x) * TEAMS * ROWS) / SIDES;
    for (var first = 0u; first < COLS * VALUES; first += 4u * WG) {
        let i = first + 4u * lid;
        let here = i < COLS * VALUES;
        let row_of = token + i / VALUES;
        let at = first_value + i % VALUES;
        var value = vec4<f32>();
        if (here) { value = vec4<f32>(made[i], made[i + 1u], made[i + 2u], made[i + 3u]); }
        let stored = here && row_of < params.tokens && at < (params.first_row + params.rows) / SIDES;
        store_codes((row_of * params.y_stride + at) / 4u, value, stored, lid);
    }
#endif
}

#if int8
#import codes_dot
#endif
