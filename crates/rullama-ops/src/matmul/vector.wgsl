// y = x W^T for few tokens: a team of TEAM lanes forms ROWS neighbouring rows for COLS tokens.
// Lane l takes groups l, l + TEAM, ... of 32 weights, decodes each once and multiplies it with
// every token; in the end the lanes' sums are added. UNROLL groups of a lane are taken together,
// so that their loads are under way at once (groups is then a multiple of TEAM * UNROLL).
//
// LANES lanes of a team stand in one subgroup and add by shuffles (LANES = 1 without subgroups);
// when that is not the whole team, its PARTS = TEAM / LANES sums go through workgroup memory.
#import math
#import product
#import weight

const TEAMS = WG / TEAM;
const PARTS = TEAM / LANES;

#if split
// Sum of (row, token) of a part, at [(row * COLS + token) * (WG / LANES) + part].
var<workgroup> parts: array<f32, ROWS * COLS * (WG / LANES)>;

fn part_sum(value: u32, team: u32) -> f32 {
    var sum = 0.0;
    for (var i = 0u; i < PARTS; i++) {
        sum += parts[value * (WG / LANES) + team * PARTS + i];
    }
    return sum;
}
#endif

fn lanes_sum(value: vec4<f32>) -> f32 {
    var sum = (value.x + value.y) + (value.z + value.w);
#if subgroups
    if (LANES > 32u) { sum += subgroupShuffleXor(sum, 32u); }
    if (LANES > 16u) { sum += subgroupShuffleXor(sum, 16u); }
    if (LANES > 8u) { sum += subgroupShuffleXor(sum, 8u); }
    if (LANES > 4u) { sum += subgroupShuffleXor(sum, 4u); }
    if (LANES > 2u) { sum += subgroupShuffleXor(sum, 2u); }
    if (LANES > 1u) { sum += subgroupShuffleXor(sum, 1u); }
#endif
    return sum;
}

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
    let lane = lid % TEAM;
    let row = ((wg.y * wgs.x + wg.x) * TEAMS + team) * ROWS;
    let token = wg.z * COLS;

    // Past the end the last row or token is computed again, so that every lane stays; put()
    // drops it.
#repeat r ROWS
    let w{r}_at = min(row + {r}u, params.rows - 1u) * params.groups;
#end
#repeat c COLS
    let x{c}_at = params.x_offset + min(token + {c}u, params.tokens - 1u) * params.x_stride;
#end
#repeat r ROWS
#repeat c COLS
    var acc{r}_{c} = vec4<f32>();
#end
#end
    for (var first = lane; first < params.groups; first += TEAM * UNROLL) {
#repeat u UNROLL
        let g{u} = first + {u}u * TEAM;
#repeat r ROWS
        let w{u}_{r} = decode_group(planes(), w{r}_at + g{u});
#end
#repeat c COLS
#repeat j 8
        let x{u}_{c}_{j} = x[x{c}_at + 8u * g{u} + {j}u];
#end
#repeat r ROWS
#repeat j 8
        acc{r}_{c} += w{u}_{r}[{j}] * x{u}_{c}_{j};
#end
#end
#end
#end
    }

#repeat r ROWS
#repeat c COLS
    let sum{r}_{c} = lanes_sum(acc{r}_{c});
#end
#end
#if split
    if (lid % LANES == 0u) {
#repeat r ROWS
#repeat c COLS
        parts[({r}u * COLS + {c}u) * (WG / LANES) + lid / LANES] = sum{r}_{c};
#end
#end
    }
    workgroupBarrier();
#if geglu
    // ROWS is 2.
    for (var c = lane; c < COLS; c += TEAM) {
        put(row, token + c, part_sum(c, team), part_sum(COLS + c, team));
    }
#else
    for (var v = lane; v < ROWS * COLS; v += TEAM) {
        put(row + v / COLS, token + v % COLS, part_sum(v, team));
    }
#endif
#else
    if (lane == 0u) {
#repeat c COLS
#if geglu
        // ROWS is 2.
        put(row, token + {c}u, sum0_{c}, sum1_{c});
#else
#repeat r ROWS
        put(row + {r}u, token + {c}u, sum{r}_{c});
#end
#endif
#end
    }
#endif
}
