// y[slot] = W[expert of slot] x[row of slot]: a team of TEAM lanes forms SETS neighbouring values of one slot, each of SIDES rows of the
// expert: one, or gate and up, which stand `values` rows apart. Lane l takes groups l, l + TEAM, ... of 32 weights.
//
// A dispatch serves the experts of one chunk of the weight; the slots of others leave at once.
#import math
#import experts
#import slots
#import weight

const TEAMS = WG / TEAM;
// Of a side of a set, at set * SIDES + side.
const SUMS = SETS * SIDES;
#import team

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
    let slot = params.first + wg.z;
    let expert = expert_of(slot);
    // The same for the whole workgroup.
    if (!is_here(expert)) { return; }
    let team = lid / TEAM;
    let lane = lid % TEAM;
    let first_value = ((wg.y * wgs.x + wg.x) * TEAMS + team) * SETS;
    let x_at = x_row(slot);

#repeat s SETS
#repeat r SIDES
    let w{s}{r}_at = row_at(expert, first_value + {s}u, {r}u);
    var acc{s}{r} = vec4<f32>();
#end
#end
    for (var first = lane; first < params.groups; first += TEAM * UNROLL) {
#repeat u UNROLL
        let g{u} = first + {u}u * TEAM;
#repeat s SETS
#repeat r SIDES
        let w{u}_{s}{r} = decode_group(planes(), w{s}{r}_at + g{u});
#end
#end
#repeat j 8
        let x{u}_{j} = x[x_at + 8u * g{u} + {j}u];
#end
#repeat s SETS
#repeat r SIDES
#repeat j 8
        acc{s}{r} += w{u}_{s}{r}[{j}] * x{u}_{j};
#end
#end
#end
#end
    }

#repeat s SETS
#repeat r SIDES
    let sum{s}{r} = lanes_sum(acc{s}{r});
#end
#end
#if split
    if (lid % LANES == 0u) {
#repeat s SETS
#repeat r SIDES
        parts[({s}u * SIDES + {r}u) * (WG / LANES) + lid / LANES] = sum{s}{r};
#end
#end
    }
    workgroupBarrier();
    for (var s = lane; s < SETS; s += TEAM) {
#if pairs
        put(slot, first_value + s, part_sum(s * SIDES, team), part_sum(s * SIDES + 1u, team));
#else
        put(slot, first_value + s, part_sum(s, team));
#endif
    }
#else
    if (lane == 0u) {
#repeat s SETS
#if pairs
        put(slot, first_value + {s}u, sum{s}0, sum{s}1);
#else
        put(slot, first_value + {s}u, sum{s}0);
#endif
#end
    }
#endif
}
